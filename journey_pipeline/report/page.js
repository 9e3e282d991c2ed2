// The page is whole without this: it only narrows the worklist while somebody types.
const box = document.querySelector("#filter");
if (box) {
  const input = box.querySelector("input"), told = box.querySelector("output");
  const text = (node) => node.textContent.toLowerCase();
  const items = [...document.querySelectorAll(".finding")].map((node) => {
    const group = node.closest(".group"), owner = node.closest(".owner");
    return [node, text(owner.querySelector("h3")) + text(group.querySelector("header")) + text(node.closest(".batch").querySelector("dl")) + text(node)];
  });
  const parts = document.querySelectorAll(".batch, .group, .owner");
  box.hidden = false;
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [node, words] of items) node.classList.toggle("out", !wanted.every((word) => words.includes(word)));
    for (const part of parts) part.classList.toggle("out", !part.querySelector(".finding:not(.out)"));
    const left = items.filter(([node]) => !node.classList.contains("out")).length;
    told.textContent = wanted.length ? `${left} of the ${items.length} listed` : "";
  });
}
