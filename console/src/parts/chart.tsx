import { moment, time } from "../format";

export interface Layer {
  name: string;
  /** The class of its colour, e.g. `tone-chat`. */
  tone: string;
  values: (number | null)[];
}

interface Props {
  title: string;
  /** The whole in a few words, e.g. its sum. */
  summary: string;
  /** Stacked bars for what adds up, lines for what does not. */
  kind: "bars" | "lines";
  layers: Layer[];
  start: number;
  step: number;
  format: (value: number) => string;
}

const HEIGHT = 100;

/** Values over time; every span of time says its values when it is pointed at. */
export function Chart({ title, summary, kind, layers, start, step, format }: Props) {
  const spans = layers[0]?.values.length ?? 0;
  const at = (layer: Layer, span: number) => layer.values[span] ?? null;
  const stacked = (span: number) => layers.reduce((sum, layer) => sum + (at(layer, span) ?? 0), 0);
  const highest = (span: number) => (kind === "bars" ? stacked(span) : Math.max(0, ...layers.map((layer) => at(layer, span) ?? 0)));
  const indices = Array.from({ length: spans }, (_, span) => span);
  const top = Math.max(0, ...indices.map(highest));
  const y = (value: number) => HEIGHT - (HEIGHT * value) / (top || 1);
  const told = (span: number) =>
    [time(start + span * step), ...layers.map((layer) => `${layer.name}: ${said(at(layer, span), format)}`)].join("\n");
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span> <span class="muted">{summary}</span>
      </figcaption>
      <div class="plot">
        <span class="top">{top > 0 ? format(top) : ""}</span>
        <svg viewBox={`0 0 ${Math.max(spans, 1)} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${summary}`}>
          {kind === "bars" ? indices.map((span) => <Bar key={span} span={span} layers={layers} y={y} />) : <Lines layers={layers} y={y} />}
          {indices.map((span) => (
            <rect key={span} class="point-at" x={span} y="0" width="1" height={HEIGHT}>
              <title>{told(span)}</title>
            </rect>
          ))}
        </svg>
      </div>
      <div class="axis" aria-hidden="true">
        <span>{moment(start, step)}</span>
        <span>{moment(start + spans * step, step)}</span>
      </div>
      <p class="legend">
        {layers.map((layer) => (
          <span key={layer.name} class={`key ${layer.tone}`}>
            {layer.name}
          </span>
        ))}
      </p>
    </figure>
  );
}

const said = (value: number | null, format: (value: number) => string) => (value === null ? "–" : format(value));

function Bar({ span, layers, y }: { span: number; layers: Layer[]; y: (value: number) => number }) {
  let below = 0;
  return (
    <g>
      {layers.map((layer) => {
        const value = layer.values[span] ?? 0;
        below += value;
        return (
          value > 0 && <rect key={layer.name} class={`bar ${layer.tone}`} x={span + 0.08} width="0.84" y={y(below)} height={y(0) - y(value)} />
        );
      })}
    </g>
  );
}

function Lines({ layers, y }: { layers: Layer[]; y: (value: number) => number }) {
  return (
    <>
      {layers.map((layer) => {
        const points = layer.values.flatMap((value, span) => (value === null ? [] : [`${span + 0.5},${y(value).toFixed(1)}`]));
        // A line needs two ends; a single value is a short one.
        const path = points.length === 1 ? `M${points[0]} h0.4` : `M${points.join(" L")}`;
        return points.length > 0 && <path key={layer.name} class={`line ${layer.tone}`} d={path} />;
      })}
    </>
  );
}
