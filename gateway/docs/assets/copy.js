"use strict";

// A button on every code example that copies it.

const CONFIRMED = 1500; // ms for which the button says what came of it

// Over plain HTTP from another machine browsers have no clipboard, but still know this.
function copySelected(block) {
  getSelection().selectAllChildren(block);
  const copied = document.execCommand("copy");
  if (copied) getSelection().removeAllRanges();
  return copied;
}

async function copy(block) {
  try {
    await navigator.clipboard.writeText(block.textContent);
    return true;
  } catch {
    return copySelected(block);
  }
}

for (const block of document.querySelectorAll("main pre")) {
  const frame = document.createElement("div");
  const button = document.createElement("button");
  frame.className = "copyable";
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    // What could not be copied stays selected: Ctrl+C does it.
    button.textContent = (await copy(block)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), CONFIRMED);
  });
  block.replaceWith(frame);
  frame.append(block, button);
}
