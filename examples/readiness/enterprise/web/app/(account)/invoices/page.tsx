import { requireSession } from "../../../lib/session";

export default async function Invoices() {
  const session = await requireSession();
  const answer = await fetch(`${process.env.API_URL}/api/invoices?limit=50`, {
    headers: { authorization: `Bearer ${session}` },
    signal: AbortSignal.timeout(5000),
  });
  const invoices: { id: string; number: string }[] = await answer.json();
  return <ul>{invoices.map((one) => <li key={one.id}>{one.number}</li>)}</ul>;
}
