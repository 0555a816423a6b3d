/** How the window looks. Kept in the web view's local storage, which never holds text, names or keys. */
export type Theme = "system" | "light" | "dark";

export const textSizes = [50, 75, 90, 100, 110, 125, 150, 175, 200] as const;
export const listWidths = { least: 220, most: 480, usual: 304 };
export const detailsWidths = { least: 240, most: 440, usual: 296 };

const place = "waxwing.look";

interface Look {
  theme: Theme;
  textSize: number;
  listWidth: number;
  detailsWidth: number;
}

const usual: Look = { theme: "system", textSize: 100, listWidth: listWidths.usual, detailsWidth: detailsWidths.usual };

function within(value: unknown, least: number, most: number, otherwise: number): number {
  return typeof value === "number" && value >= least && value <= most ? value : otherwise;
}

/** Reads what was kept; whatever does not make sense becomes the usual. */
export function parseLook(stored: string | null): Look {
  let kept: Partial<Record<keyof Look, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(stored ?? "{}");
    if (typeof parsed === "object" && parsed !== null) kept = parsed;
  } catch {
    return usual;
  }
  return {
    theme: kept.theme === "light" || kept.theme === "dark" ? kept.theme : "system",
    textSize: within(kept.textSize, 50, 200, usual.textSize),
    listWidth: within(kept.listWidth, listWidths.least, listWidths.most, usual.listWidth),
    detailsWidth: within(kept.detailsWidth, detailsWidths.least, detailsWidths.most, usual.detailsWidth),
  };
}

export class Preferences {
  #look = $state<Look>(parseLook(localStorage.getItem(place)));

  get theme(): Theme {
    return this.#look.theme;
  }
  get textSize(): number {
    return this.#look.textSize;
  }
  get listWidth(): number {
    return this.#look.listWidth;
  }
  get detailsWidth(): number {
    return this.#look.detailsWidth;
  }

  change(change: Partial<Look>): void {
    this.#look = { ...this.#look, ...change };
    localStorage.setItem(place, JSON.stringify(this.#look));
    this.show();
  }

  /** Applies theme and text size to the page. */
  show(): void {
    const root = document.documentElement;
    root.dataset.theme = this.theme;
    root.style.setProperty("--text-size", `${this.textSize}%`);
  }
}
