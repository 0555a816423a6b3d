/** Where the focus goes when what held it has closed or gone. */

/** Places that can take the focus when nothing better is left, innermost first. */
const homes = ["conversation", "list"].map((home) => `[data-home="${home}"]`);

/** The pane that something is in; it is still there when that thing is gone. */
export function paneOf(element: Element | null): Element | null {
  return element?.closest("aside, main, nav") ?? null;
}

function canTakeFocus(element: Element | null): element is HTMLElement {
  return element instanceof HTMLElement && element !== document.body && element.isConnected && element.offsetParent !== null;
}

/** Gives the focus to this, or to where the reader is if it is gone or hidden: in the same pane, if that is known. */
export function giveFocus(wanted: Element | null, pane: Element | null = null): void {
  const candidates = [wanted, pane?.querySelector("[data-home]") ?? null, ...homes.map((home) => document.querySelector(home))];
  candidates.find(canTakeFocus)?.focus({ preventScroll: true });
}

/** Whether what had the focus has gone with it. */
export function isFocusLost(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}
