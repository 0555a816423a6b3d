/** Gives jsdom the little layout that virtual lists and menus ask for: every box has a size, and nothing scrolls. */
import { beforeEach } from "vitest";

class SteadyResizeObserver implements ResizeObserver {
  constructor(private readonly callback: ResizeObserverCallback) {}
  observe(target: Element): void {
    queueMicrotask(() => {
      const height = target.getAttribute("data-testid") === "timeline" ? 4000 : 40;
      this.callback([{ target, contentRect: { width: 600, height } } as unknown as ResizeObserverEntry], this);
    });
  }
  unobserve(): void {}
  disconnect(): void {}
}

if (typeof window !== "undefined") {
  window.ResizeObserver = SteadyResizeObserver;
  Object.defineProperty(HTMLElement.prototype, "offsetParent", { get: () => document.body });
  Element.prototype.scrollTo = () => {};
  Element.prototype.scrollBy = () => {};
  Element.prototype.scrollIntoView = () => {};
  document.hasFocus = () => true;

  beforeEach(() => localStorage.clear());
}
