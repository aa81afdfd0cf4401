// Two networks' answers put together: a reader behind a guard.

/** Added to a confidence of 0, which has no logarithm. */
const TINY = 1e-38;

/**
 * The confidences of a guarded network, the last for rubbish, from those of its two parts
 * (networks/guarded.py): p(class k) is in proportion to g_k ((1 - doubt) q_k + doubt / K), where g
 * is the guard's confidence and q the reader's, and p(rubbish) to the guard's own. With a doubt about
 * the guard's choice of a class, the classes get shares of what it gives to those chosen.
 */
export function guardedConfidences(guard, reader, { power, doubt, guardDoubt, expected }) {
  const K = guard.length - 1;
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const top = Math.max(...reader.slice(0, K));
  const powers = reader.slice(0, K).map((p) => (p / top) ** power);
  const whole = sum(guard.slice(0, K));
  const shares = powers.map((p, k) => {
    const opinion = (1 - guardDoubt) * guard[k] + (guardDoubt * whole) / K;
    return opinion * (((1 - doubt) * p) / sum(powers) + doubt / K);
  });
  if (guardDoubt > 0) {
    const all = sum(shares);
    const odds = sum(shares.map((share, k) => (share / all) * Math.log(guard[k] + TINY)));
    shares.forEach((share, k) => (shares[k] = (share / all) * Math.exp(odds)));
  }
  shares.push(guard[K] * Math.exp(expected));
  return shares.map((share) => share / sum(shares));
}
