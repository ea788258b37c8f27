/*
The form of a POP3 account; the server decides in any case.

- Ports follow the security choice as long as they are the usual ones (R8).
- The confirmation of plain text is shown only where plain text is chosen.
- Once the address is there, the servers that are known for it are filled in where nothing stands yet (R7); the button
  asks for them at any time, and takes all of them.
- What only Gmail has is shown only for Gmail's servers (R11).
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-mailbox-form]");
  if (!form) return;

  const USUAL_PORTS = {
    incoming: { ssl: 995, starttls: 110, none: 110 },
    outgoing: { ssl: 465, starttls: 587, none: 587 },
  };
  const GMAIL = ["pop.gmail.com", "pop.googlemail.com"];
  const field = (name) => form.elements[name];
  const show = (name, shown) => {
    field(name).closest(".field").parentElement.hidden = !shown;
    field(name).disabled = !shown;
  };

  const showWhatApplies = () => {
    show("allow_plain_text", ["incoming", "outgoing"].some((side) => field(`${side}_security`).value === "none"));
    show("used_by_other_clients", GMAIL.includes(field("incoming_host").value.trim().replace(/\.$/, "").toLowerCase()));
  };

  const securityBefore = {};
  for (const [side, ports] of Object.entries(USUAL_PORTS)) {
    const security = field(`${side}_security`);
    const port = field(`${side}_port`);
    securityBefore[side] = security.value;
    if (!port.value) port.value = ports[security.value];
    security.addEventListener("change", () => {
      if (!port.value || Number(port.value) === ports[securityBefore[side]]) port.value = ports[security.value];
      securityBefore[side] = security.value;
    });
  }

  const finder = form.querySelector("[data-finds-servers]");
  const SERVER = ["host", "port", "security"];

  const findServers = async (takesAll) => {
    const asked = new FormData(form, finder);
    asked.delete("incoming_password");
    asked.delete("outgoing_password");
    const answer = await fetch(location.href, { method: "POST", body: asked });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = (name) => page.querySelector(`[data-mailbox-form] [name=${name}]`).value;
    document.getElementById("found").replaceWith(page.getElementById("found"));
    for (const name of ["name", "incoming_username"]) {
      if (!field(name).value) field(name).value = found(name);
    }
    for (const side of Object.keys(USUAL_PORTS)) {
      if (!found(`${side}_host`) || (field(`${side}_host`).value && !takesAll)) continue;
      for (const part of SERVER) field(`${side}_${part}`).value = found(`${side}_${part}`);
      securityBefore[side] = field(`${side}_security`).value;
    }
    showWhatApplies();
  };
  if (finder) {
    finder.addEventListener("click", (event) => {
      event.preventDefault();
      findServers(true);
    });
    field("email_address").addEventListener("change", () => {
      if (field("email_address").value.includes("@")) findServers(false);
    });
  }

  form.addEventListener("input", showWhatApplies);
  form.addEventListener("change", showWhatApplies);
  showWhatApplies();
})();
