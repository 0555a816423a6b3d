import type { QrView } from "../backend";

/** A QR code as one SVG path: a box for each run of dark modules in a row. */
export function qrPath(qr: QrView): string {
  let path = "";
  for (let y = 0; y < qr.size; y += 1) {
    const row = qr.modules.slice(y * qr.size, (y + 1) * qr.size);
    for (const run of row.matchAll(/1+/gu)) {
      path += `M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`;
    }
  }
  return path;
}
