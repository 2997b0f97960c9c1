// Lists, page by page. The next page is asked for when the one before was used up, and not before.

/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  /** What asks for the next page; null at the end. */
  next: string | number | null;
}

/** A list: `for await` gives its items one by one. Each loop begins at the first page. */
export class Pages<Item> implements AsyncIterable<Item> {
  readonly #read: (next: string | number | undefined) => Promise<Page<Item>>;

  constructor(read: (next: string | number | undefined) => Promise<Page<Item>>) {
    this.#read = read;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for await (const page of this.pages()) {
      yield* page;
    }
  }

  /** Its pages, each an array. */
  async *pages(): AsyncGenerator<Item[], void, undefined> {
    let page = await this.#read(undefined);
    yield page.items;
    while (page.next !== null) {
      page = await this.#read(page.next);
      yield page.items;
    }
  }

  /** All items at once; for lists that are known to be short. */
  async all(): Promise<Item[]> {
    const items: Item[] = [];
    for await (const page of this.pages()) {
      items.push(...page);
    }
    return items;
  }
}
