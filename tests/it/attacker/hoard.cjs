// Takes memory until it is ended.
const kept = [];
setInterval(() => kept.push(Buffer.alloc(16 << 20, 1)), 1);
