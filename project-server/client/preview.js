// Firefly's part of a previewed page: it reloads the page when the project's files change.
//
// The page carries the version of the files it was made from (the data-version of this script's element). Each time the
// socket opens the server says the version that is current, so a change is never missed: not while the page was
// loading, nor while the connection was lost.
(function () {
    "use strict";

    var PING_INTERVAL_MS = 20000;
    var RETRY_FIRST_MS = 500;
    var RETRY_LAST_MS = 30000;

    var script = document.currentScript;
    var version = script && script.getAttribute("data-version");
    var socket = null;
    var retryDelay = RETRY_FIRST_MS;
    var retryTimer = null;
    var pageTreatedTheChange = false;

    function address() {
        var project = location.pathname.split("/").slice(1, 4).join("/");
        return (location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/" + project + "/";
    }

    // A page that can take up a change without reloading listens for this event and prevents its default.
    function refresh() {
        var event = new CustomEvent("lumieresRefresh", { bubbles: false, cancelable: true });
        if (window.dispatchEvent(event)) {
            location.reload();
            return false;
        }
        return true;
    }

    var handlers = {
        refresh: function () {
            pageTreatedTheChange = refresh();
        },
        // Follows every refresh, and comes first on every new connection.
        version: function (current) {
            if (version !== null && version !== current && !pageTreatedTheChange) {
                refresh();
            }
            pageTreatedTheChange = false;
            version = current;
        }
    };

    // A message is a name, a colon, and JSON or nothing.
    function receive(event) {
        var text = String(event.data);
        var colon = text.indexOf(":");
        var name = text.slice(0, colon);
        var body = text.slice(colon + 1);
        if (Object.prototype.hasOwnProperty.call(handlers, name)) {
            handlers[name](body ? JSON.parse(body) : undefined);
        }
    }

    function connect() {
        clearTimeout(retryTimer);
        retryTimer = null;
        socket = new WebSocket(address());
        socket.onopen = function () {
            retryDelay = RETRY_FIRST_MS;
        };
        socket.onmessage = receive;
        socket.onclose = function () {
            socket = null;
            // Many pages lose the same server at once; jitter keeps them from coming back at once.
            retryTimer = setTimeout(connect, retryDelay * (0.5 + Math.random() / 2));
            retryDelay = Math.min(retryDelay * 2, RETRY_LAST_MS);
        };
    }

    function ping() {
        if (!document.hidden && socket && socket.readyState === WebSocket.OPEN) {
            socket.send("{\"type\":\"ping\"}");
        }
    }

    setInterval(ping, PING_INTERVAL_MS);

    // Someone looks at the page again: no reason to wait any longer.
    document.addEventListener("visibilitychange", function () {
        if (!document.hidden && retryTimer !== null) {
            retryDelay = RETRY_FIRST_MS;
            connect();
        }
    });

    connect();
}());
