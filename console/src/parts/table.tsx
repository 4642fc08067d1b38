import type { ComponentChild, ComponentChildren } from "preact";
import { useState } from "preact/hooks";

export interface Column<Row> {
  name: string;
  cell: (row: Row) => ComponentChild;
  /** What rows are sorted by; a column without it is not sortable. */
  sort?: (row: Row) => number | string | null;
  numeric?: boolean;
  /** Left out where there is little room. */
  minor?: boolean;
}

interface Props<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string | number;
  rowClass?: (row: Row) => string | undefined;
  /** A second line below a row. */
  detail?: (row: Row) => ComponentChild;
  empty: ComponentChildren;
}

interface Order {
  column: string;
  down: boolean;
}

export function Table<Row>({ label, columns, rows, rowKey, rowClass, detail, empty }: Props<Row>) {
  const [order, setOrder] = useState<Order | null>(null);
  if (rows.length === 0) {
    return <>{empty}</>;
  }
  const by = columns.find((column) => column.name === order?.column)?.sort;
  const sorted = by ? sort(rows, by, order?.down ?? false) : rows;
  return (
    <div class="table" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.name} column={column} order={order} setOrder={setOrder} />
            ))}
          </tr>
        </thead>
        {sorted.map((row) => {
          const more = detail?.(row);
          return (
            <tbody key={rowKey(row)} class={rowClass?.(row)}>
              <tr>
                {columns.map((column) => (
                  <td key={column.name} class={classes(column)}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
              {more && (
                <tr class="detail">
                  <td colSpan={columns.length}>{more}</td>
                </tr>
              )}
            </tbody>
          );
        })}
      </table>
    </div>
  );
}

interface HeadingProps<Row> {
  column: Column<Row>;
  order: Order | null;
  setOrder: (order: Order | null) => void;
}

function Heading<Row>({ column, order, setOrder }: HeadingProps<Row>) {
  const mine = order?.column === column.name ? order : null;
  const next = () => {
    if (!mine) {
      setOrder({ column: column.name, down: column.numeric ?? false });
    } else if (mine.down === (column.numeric ?? false)) {
      setOrder({ column: column.name, down: !mine.down });
    } else {
      setOrder(null);
    }
  };
  return (
    <th scope="col" class={classes(column)} aria-sort={mine ? (mine.down ? "descending" : "ascending") : undefined}>
      {column.sort ? (
        <button type="button" class="sort" onClick={next}>
          {column.name}
          <span class="arrow" aria-hidden="true">
            {mine ? (mine.down ? "▾" : "▴") : ""}
          </span>
        </button>
      ) : (
        column.name
      )}
    </th>
  );
}

function classes<Row>(column: Column<Row>): string | undefined {
  return [column.numeric ? "numeric" : "", column.minor ? "minor" : ""].filter(Boolean).join(" ") || undefined;
}

/** Rows without a value come last, whichever the direction. */
function sort<Row>(rows: Row[], by: (row: Row) => number | string | null, down: boolean): Row[] {
  return [...rows].sort((left, right) => {
    const [a, b] = [by(left), by(right)];
    if (a === null || b === null) {
      return a === b ? 0 : a === null ? 1 : -1;
    }
    const order = typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b;
    return down ? -order : order;
  });
}
