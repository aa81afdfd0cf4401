// The ink of strokes, computed here: some browsers alter, for privacy, what pages read from a canvas.

/** Ink in [0, 1] of strokes of round pens, (size, size) flat; each stroke is a list of points. */
export function inkOf(strokes, size, pen) {
  const ink = new Float32Array(size * size);
  for (const points of strokes)
    points.forEach((point, k) => segment(ink, size, points[Math.max(0, k - 1)], point, pen / 2));
  return ink;
}

/** From one point to another: full within the radius, fading over the last pixel. */
function segment(ink, size, from, to, radius) {
  const reach = radius + 1;
  const range = (a, b) => [
    Math.max(0, Math.floor(Math.min(a, b) - reach)),
    Math.min(size - 1, Math.ceil(Math.max(a, b) + reach)),
  ];
  const [left, right] = range(from.x, to.x);
  const [top, bottom] = range(from.y, to.y);
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy || 1;
  for (let row = top; row <= bottom; row++)
    for (let column = left; column <= right; column++) {
      const [x, y] = [column + 0.5 - from.x, row + 0.5 - from.y];
      const along = Math.min(1, Math.max(0, (x * dx + y * dy) / length));
      const distance = Math.hypot(x - along * dx, y - along * dy);
      const amount = Math.min(1, Math.max(0, radius - distance + 0.5));
      const k = row * size + column;
      if (amount > ink[k]) ink[k] = amount;
    }
}
