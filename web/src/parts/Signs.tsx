/** Small signs that do not depend on which glyphs the system's font has. */

export const Star = ({ said }: { said: string }) => (
  <span className="star">
    <svg width={12} height={12} viewBox="0 0 12 12" aria-hidden="true">
      <path d="M6 0.6l1.6 3.5 3.8.4-2.8 2.6.8 3.8L6 9l-3.4 1.9.8-3.8L.6 4.5l3.8-.4z" fill="currentColor" />
    </svg>
    <span className="unseen">{said}</span>
  </span>
);

/** Which way is better, or from what to what. */
export const Arrow = ({ to }: { to: "up" | "down" | "right" }) => (
  <svg width={10} height={10} viewBox="0 0 10 10" aria-hidden="true" className={`arrow arrow-${to}`}>
    <path d="M5 9V1.5M1.8 4.6L5 1.4l3.2 3.2" fill="none" stroke="currentColor" strokeWidth={1.5} strokeLinecap="round" strokeLinejoin="round" />
  </svg>
);
