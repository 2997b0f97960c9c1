/**
 * @module ui/main.reel
 */
var Component = require("montage/ui/component").Component;

/**
 * The first component of the application, drawn into the page by Montage's loader.
 *
 * @class Main
 * @extends Component
 */
exports.Main = Component.specialize(/** @lends Main# */ {

    /**
     * The heading. The template binds to it.
     * @type {string}
     */
    title: {
        value: "Welcome to Firefly"
    },

    /**
     * How often the button was pressed.
     * @type {number}
     */
    count: {
        value: 0
    },

    /**
     * Called when the button with the label countButton is pressed.
     */
    handleCountButtonAction: {
        value: function () {
            this.count = this.count + 1;
        }
    }
});
