/** For the `catch` of a promise: shows the sentence that says what is wrong, in place of what was to come. */
export function refusal(display: (node: Node) => unknown): (error: Error) => undefined {
  return ({ name, message }) => {
    if (name === "Cancelled") return undefined;
    const sentence = document.createElement("p");
    sentence.setAttribute("role", "alert");
    sentence.className = "refusal";
    sentence.textContent = message;
    display(sentence);
    return undefined;
  };
}
