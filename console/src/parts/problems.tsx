import type { Place, Problem } from "../types";

interface Props {
  problems: Problem[];
  /** The file that is open; places in it move the cursor, others are links. */
  here: string | null;
  goTo: (place: Place) => void;
}

/** What is wrong, where, and what to do about it. */
export function Problems({ problems, here, goTo }: Props) {
  return (
    <ul class="problems">
      {problems.map((problem, index) => (
        <li key={index} class={problem.severity}>
          <p>
            <span class="severity">
              {problem.severity} {problem.code}
            </span>{" "}
            {problem.message}
          </p>
          {problem.places.map((place, index) => (
            <p key={index} class="place">
              <PlaceLink place={place} here={here} goTo={goTo} />
              {place.label && ` ${place.label}`}
            </p>
          ))}
          {problem.help.map((help) => (
            <p key={help} class="help">
              Hint: {help}
            </p>
          ))}
        </li>
      ))}
    </ul>
  );
}

function PlaceLink({ place, here, goTo }: Omit<Props, "problems"> & { place: Place }) {
  const name = `line ${place.line}, column ${place.column}`;
  if (place.id !== null && place.id === here) {
    return (
      <button type="button" class="link" onClick={() => goTo(place)}>
        {name}
      </button>
    );
  }
  if (place.id === null) {
    return (
      <>
        {place.file}, {name}
      </>
    );
  }
  return <a href={`/policies/${place.id}?line=${place.line}`}>{`${place.id}, ${name}`}</a>;
}
