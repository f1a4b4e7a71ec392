"use strict";
/* What an archive of a feed is, above the first page. Other archives do not have this script. */
(() => {
  const { h, visible, overview } = portability;

  portability.overview = () => {
    const page = overview();
    const [text] = portability.read(portability.export.feed, "text");
    page.firstElementChild.after(h("p", { class: "verdict calm" }, visible(text)));
    return page;
  };
})();
