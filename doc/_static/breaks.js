// Let long names break between their words: SparseMultiTask|Representation.
document.addEventListener("DOMContentLoaded", () => {
  const names =
    ".bd-article h1, .bd-article td code, .sig-name, .bd-sidebar-primary a, " +
    ".page-toc a, .prev-next-title";
  for (const element of document.querySelectorAll(names)) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) {
      const words = text.data.split(/(?<=[a-z])(?=[A-Z])|(?<=[_.])/);
      const broken = words.flatMap((word) => [word, document.createElement("wbr")]);
      text.replaceWith(...broken.slice(0, -1));
    }
  }
});
