/*
The Email tab at work: selecting, the place in the list after a deed, what is open, mail that arrives. Without it links and
forms do the same, a page at a time. The server renders every row; here they are only put where they belong.
*/
"use strict";

(() => {
  const LOOK = 20_000;
  const LOOK_HIDDEN = 120_000;
  const AT_A_TIME = 200; // conversations that the server takes, see portal/boxes.py; more ids would be too long an address
  const by = (id) => document.getElementById(id);
  const rows = () => [...document.querySelectorAll("#conversations > [data-item]")];
  const boxes = () => rows().map((row) => row.querySelector("input[name=thread]"));
  const linkOf = (row) => row?.querySelector("[data-item-link]");
  let anchor = null;
  let focused = [];
  let opened = "";
  let arrived = 0;

  // --- selecting -----------------------------------------------------------------------------------------------------

  // A click with Shift takes what lies between it and the click before.
  document.addEventListener("click", (event) => {
    const box = event.target.closest("input[name=thread]");
    if (!box) return;
    const all = boxes();
    const from = all.indexOf(anchor);
    const to = all.indexOf(box);
    if (event.shiftKey && from >= 0 && from !== to) {
      for (const each of all.slice(Math.min(from, to), Math.max(from, to) + 1)) each.checked = box.checked;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
    anchor = box;
  });

  // Less than all that is shown is never everything.
  document.addEventListener("change", (event) => {
    if (event.target.matches("input[name=thread]") && !event.target.checked) by("everything").replaceChildren();
  });

  const current = () =>
    document.activeElement?.closest("#conversations > [data-item]") || document.querySelector("#conversations > [aria-current]");

  // What works on the selection takes the conversation at hand if nothing is ticked.
  document.addEventListener(
    "click",
    (event) => {
      const control = event.target.closest("[data-on-selection]");
      if (!control || !control.closest("#mail-form") || boxes().some((box) => box.checked)) return;
      const row = current();
      if (!row) {
        event.preventDefault();
        event.stopPropagation();
        return;
      }
      row.querySelector("input[name=thread]").checked = true;
    },
    true,
  );

  // --- dragging onto a folder or a label -----------------------------------------------------------------------------

  // What is dropped presses the button that the menus have for the place; one that has none takes nothing.
  let dragged = null;
  let waiting = []; // answers with rows: the end of a drag isn't told of a row that was taken out of the page
  const placeOf = (event) => (dragged ? event.target.closest?.("[data-presses]") : null);
  const buttonOf = (link) => {
    const [name, value] = link.dataset.presses.split("=");
    return by("mail-form").querySelector(`button[name="${name}"][value="${value}"]`);
  };
  const endDrag = () => {
    for (const link of document.querySelectorAll("[data-presses].is-target")) link.classList.remove("is-target");
    by("drag-words")?.remove();
    dragged = null;
    const answers = waiting;
    waiting = [];
    for (const answer of answers) {
      window.htmx.swap("#mail-arrivals", answer, { swapStyle: "innerHTML" }, { afterSwapCallback: placeArrivals });
    }
  };

  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("#conversations > [data-item]") || null;
    if (!dragged) return;
    const ticked = boxes().filter((box) => box.checked);
    const several = ticked.some((box) => dragged.contains(box)) && ticked.length > 1;
    const words = Object.assign(document.createElement("span"), {
      id: "drag-words",
      className: "drag-words",
      textContent: several ? `${ticked.length} conversations` : dragged.querySelector(".conversation__subject").textContent,
    });
    document.body.append(words);
    event.dataTransfer.setDragImage(words, -12, -4);
    event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    const link = placeOf(event);
    if (!link || !buttonOf(link)) return;
    event.preventDefault();
    link.classList.add("is-target");
  });
  document.addEventListener("dragleave", (event) => placeOf(event)?.classList.remove("is-target"));
  document.addEventListener("drop", (event) => {
    const link = placeOf(event);
    if (link) {
      event.preventDefault();
      const own = dragged.querySelector("input[name=thread]");
      if (!own.checked) {
        clearSelection();
        own.checked = true;
      }
      buttonOf(link)?.click();
    }
    endDrag();
  });
  document.addEventListener("dragend", endDrag);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!dragged || !event.detail.shouldSwap || event.detail.target.id !== "mail-arrivals") return;
    event.detail.shouldSwap = false;
    waiting.push(event.detail.serverResponse);
  });
  // The answer of what was done to the row before does not wait: it ends the drag if it takes the row.
  document.addEventListener("htmx:afterSettle", () => {
    if (dragged && !dragged.isConnected) endDrag();
  });

  // --- the place in the list -----------------------------------------------------------------------------------------

  // A row that is taken out or put in anew hands the focus on: to itself, else to what follows, else to what is before.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const row = event.detail.target;
    if (!row?.matches?.("#conversations > [data-item]") || !row.contains(document.activeElement)) return;
    const all = rows();
    const at = all.indexOf(row);
    focused = [...all.slice(at), ...all.slice(0, at).reverse()].map((each) => each.id);
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!by("mailbox")) return;
    showOpened();
    const row = focused.map(by).find(Boolean);
    focused = [];
    if (!row) return;
    linkOf(row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id !== "mail-form") return;
    for (const menu of document.querySelectorAll("#mail-form details.menu[open]")) menu.open = false;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.id !== "mail-form" || !event.detail.successful) return;
    if (document.querySelector("dialog[data-modal]")) return;
    clearSelection();
    if (opened && !by(opened)) closeMessage();
  });

  const clearSelection = () => {
    for (const box of boxes()) box.checked = false;
    const all = by("select-all");
    all.checked = all.indeterminate = false;
    by("everything").replaceChildren();
  };

  // --- the open message ----------------------------------------------------------------------------------------------

  const showOpened = () => {
    for (const row of rows()) {
      if (row.id === opened) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  };
  const here = () => {
    const url = new URL(location.href);
    url.searchParams.delete("message");
    return url;
  };
  const closeMessage = () => {
    opened = "";
    by("reading-pane").replaceChildren(by("nothing-open").content.cloneNode(true));
    if (new URLSearchParams(location.search).has("message")) history.pushState({ htmx: true }, "", here());
    showOpened();
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    const row = event.target.closest?.("#conversations > [data-item]");
    if (!row || event.detail.target.id !== "reading-pane") return;
    opened = row.id;
    showOpened();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.target?.id !== "reading-pane" || !event.detail.successful) return;
    document.querySelector(".mailbox__reading").scrollTop = 0;
    const row = by(opened);
    if (!row?.classList.contains("is-unread")) return;
    // Where only unread ones are it stays until the list is shown anew.
    row.classList.remove("is-unread");
    refresh({ row: opened.replace("conversation-", ""), keep: 1 });
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-closes-message]")) return;
    event.preventDefault();
    const row = by(opened);
    closeMessage();
    linkOf(row)?.focus();
  });

  // --- mail that arrives ---------------------------------------------------------------------------------------------

  const refresh = (values) => {
    const live = document.querySelector("[data-live]");
    if (!live) return;
    window.htmx.ajax("GET", live.dataset.live, { target: "#mail-arrivals", swap: "innerHTML", values });
  };
  let looked = Date.now();
  const look = () => {
    const newest = by("mail-newest");
    if (!newest || dragged || Date.now() - looked < (document.hidden ? LOOK_HIDDEN : LOOK)) return;
    looked = Date.now();
    // What is being sent is asked for, too, as long as there is any.
    const unsent = rows()
      .filter((row) => "unsent" in row.dataset)
      .slice(0, AT_A_TIME);
    refresh({ since: newest.value, row: unsent.map((row) => row.id.replace("conversation-", "")) });
  };

  // Rows come into the order of the list; one that was there keeps its tick and its focus.
  const place = (row) => {
    const list = by("conversations");
    const old = [...list.children].find((each) => each.id === row.id);
    if (old) {
      row.querySelector("input[name=thread]").checked = old.querySelector("input[name=thread]").checked;
      if (old.contains(document.activeElement)) focused = [row.id];
      old.remove();
    }
    const at = Number(row.dataset.at);
    const before = [...list.children].find((each) => !each.dataset.at || Number(each.dataset.at) < at);
    if (before && !before.dataset.at && !old) return; // older than all that is shown: it comes with the next page
    if (before) before.before(row);
    else list.append(row);
    if (row.id === opened) row.setAttribute("aria-current", "true");
  };
  const placeArrivals = () => {
    const arrivals = by("mail-arrivals");
    if (!arrivals.children.length) return;
    const scroll = by("mail-scroll");
    const newest = by("mail-newest");
    const count = Number(newest.dataset.arrived || 0);
    delete newest.dataset.arrived; // an answer without new mail leaves this as it is
    const before = scroll.scrollHeight;
    const top = scroll.scrollTop;
    for (const row of [...arrivals.querySelectorAll(":scope > [data-item]")]) place(row);
    arrivals.replaceChildren();
    if (top < 8) return;
    scroll.scrollTop = top + scroll.scrollHeight - before;
    arrived += count;
    const hint = by("mail-hint");
    hint.hidden = !arrived;
    hint.textContent = arrived === 1 ? "1 new message" : `${arrived} new messages`;
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.target?.id === "mail-arrivals") placeArrivals();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#mail-hint")) by("mail-scroll").scrollTo({ top: 0 });
  });
  document.addEventListener(
    "scroll",
    (event) => {
      if (event.target.id !== "mail-scroll" || event.target.scrollTop >= 8) return;
      arrived = 0;
      by("mail-hint").hidden = true;
    },
    true,
  );

  // --- when the server is away, or one was signed out ----------------------------------------------------------------

  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (!event.detail.xhr.responseURL.includes("/accounts/login/")) return;
    event.preventDefault();
    location.reload();
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.target?.id === "reading-pane") closeMessage();
  });
  for (const name of ["htmx:sendError", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      if (!by("mailbox") || event.detail.target?.id === "mail-arrivals") return;
      const toast = document.createElement("p");
      toast.className = "toast toast--error";
      toast.textContent =
        name === "htmx:sendError" ? "The server can’t be reached. Try again in a moment." : "That did not work. It may be gone.";
      by("toasts").replaceChildren(toast);
    });
  }

  // --- questions -----------------------------------------------------------------------------------------------------

  document.addEventListener("htmx:oobAfterSwap", () => {
    const dialog = document.querySelector("dialog[data-modal]:not([open])");
    dialog?.showModal();
  });
  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("[data-closes-dialog]")?.closest("dialog");
    if (!dialog) return;
    dialog.close();
    dialog.replaceChildren();
    delete dialog.dataset.modal;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-reload]")) return;
    event.preventDefault();
    location.reload();
  });

  document.addEventListener("DOMContentLoaded", () => {
    opened = document.querySelector("#conversations > [aria-current]")?.id || "";
    setInterval(look, 1000);
  });
  document.addEventListener("htmx:historyRestore", () => {
    opened = document.querySelector("#conversations > [aria-current]")?.id || "";
    linkOf(by(opened))?.focus();
  });
  document.addEventListener("visibilitychange", look);
})();
