/*
*Test account* (R12): on a form with data-account-test="address", that address answers with one line after each step,
and every line is the fragment #tested as it is to be shown from then on.

- The button [data-tests-account] tests what the form holds; nothing is saved.
- Saving tests first where something that the test is about was changed; the server decides in any case. What is to be
  confirmed then is a button in the fragment. What is wrong is shown beside its field. The page stays all the while, so
  passwords need not be entered again.
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-account-test]");
  if (!form) return;
  const button = form.querySelector("[data-tests-account]");
  const TESTED = /^(incoming|outgoing)_|^password$|^use_same_credentials$|^delete_/;

  /* Shows a fragment and tells its outcome: passed, wrong (something is missing in the form) or nothing yet. */
  const show = (line) => {
    const fragment = new DOMParser().parseFromString(line, "text/html").getElementById("tested");
    // The region itself stays, so that changes in it are announced.
    document.getElementById("tested").replaceChildren(...fragment.childNodes);
    return fragment.dataset.outcome;
  };

  /* Puts what is wrong beside the fields as well, where a page of the server would have it, and goes to the first. */
  const showBesideFields = () => {
    for (const old of form.querySelectorAll(".field > .errorlist")) old.remove();
    for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
    const wrong = [...document.querySelectorAll("#tested [data-field]")].map((line) => {
      const field = document.getElementById(line.dataset.field).closest(".field");
      field.append(line.querySelector(".errorlist").cloneNode(true));
      const control = field.querySelector("input, select, textarea:not([hidden])");
      control.setAttribute("aria-invalid", "true");
      return control;
    });
    wrong[0].focus();
  };

  const test = async (isSaving) => {
    const body = new FormData(form);
    if (isSaving) body.append("saving", "1");
    const buttons = form.querySelectorAll("button");
    for (const each of buttons) each.disabled = true;
    try {
      const answer = await fetch(form.dataset.accountTest, { method: "POST", body });
      if (!answer.ok) return "wrong";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let outcome;
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        const lines = (rest + (value ?? "")).split("\n");
        rest = lines.pop();
        for (const line of lines) outcome = show(line);
        document.getElementById("tested").scrollIntoView({ block: "nearest" });
        if (done) return outcome;
      }
    } finally {
      for (const each of buttons) each.disabled = false;
    }
  };

  const isChanged = (control) => {
    if (control.disabled || !TESTED.test(control.name)) return false;
    if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
    if (control.tagName === "SELECT") return [...control.options].some((each) => each.selected !== each.defaultSelected);
    return control.value !== control.defaultValue;
  };

  const send = (confirmed) => {
    if (confirmed) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name: "confirmed", value: confirmed });
      form.append(input);
    }
    form.submit();
  };

  button?.addEventListener("click", async (event) => {
    event.preventDefault();
    await test(false);
  });
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.name || ![...form.elements].some(isChanged)) return;
    event.preventDefault();
    const outcome = await test(true);
    if (outcome === "wrong" && document.querySelector("#tested [data-field]")) showBesideFields();
    else if (outcome) send(outcome === "passed" ? "test" : "");
  });
  form.addEventListener("input", () => document.getElementById("tested").replaceChildren());
})();
