// The three colours, the same in every view.
export function Legend({ hasRejected = false }: { hasRejected?: boolean }) {
  return (
    <ul class="legend" aria-label="Colours">
      <li>
        <span class="swatch accepted" aria-hidden="true" />
        drafted, accepted
      </li>
      {hasRejected && (
        <li>
          <span class="swatch rejected" aria-hidden="true" />
          rejected
        </li>
      )}
      <li>
        <span class="swatch own" aria-hidden="true" />
        the target's own
      </li>
    </ul>
  );
}
