// A grey 8-bit PNG, written here so that every level is exact: a canvas may change some for colour
// management or for privacy.

/** Levels (side, side) flat, each pixel a square of `times` by `times`. */
export function enlargedLevels(levels, side, times) {
  const wide = side * times;
  return Uint8Array.from({ length: wide * wide }, (_, k) => {
    const [row, column] = [Math.floor(k / wide), k % wide];
    return levels[Math.floor(row / times) * side + Math.floor(column / times)];
  });
}

/** Levels (height, width) flat, a Uint8Array, as the bytes of a PNG. */
export function png(levels, width, height) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits per pixel; the zeros after it: grey, deflate, no filter, no interlace

  const raw = new Uint8Array(height * (width + 1)); // each row begins with its filter, none
  for (let row = 0; row < height; row++)
    raw.set(levels.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  return concatenated([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", stored(raw)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(name, data) {
  const body = concatenated([Uint8Array.from(name, (letter) => letter.charCodeAt(0)), data]);
  return concatenated([bigEndian(data.length), body, bigEndian(crc32(body))]);
}

/** A zlib stream of stored blocks: an image of this size gains nothing from compression. */
function stored(data) {
  const parts = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at < data.length; at += 0xffff) {
    const block = data.subarray(at, at + 0xffff);
    const [low, high] = [block.length & 0xff, block.length >> 8];
    const last = at + block.length === data.length ? 1 : 0;
    parts.push(Uint8Array.of(last, low, high, ~low & 0xff, ~high & 0xff), block);
  }
  parts.push(bigEndian(adler32(data)));
  return concatenated(parts);
}

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function adler32(data) {
  let [a, b] = [1, 0];
  for (const byte of data) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function bigEndian(number) {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
}

function concatenated(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
