"use strict";

// Adds a copy button to every code example.

const CONFIRMED = 1500; // ms for which the button shows the result

// Over plain HTTP from another machine browsers have no clipboard API, but still support this command.
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
    // If copying fails, the text stays selected for Ctrl+C.
    button.textContent = (await copy(block)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), CONFIRMED);
  });
  block.replaceWith(frame);
  frame.append(block, button);
}
