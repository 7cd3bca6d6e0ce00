import { redirect } from "next/navigation";
import { supabase } from "../../lib/supabase";

export default async function Appointments() {
  const client = await supabase();
  const { data: { user } } = await client.auth.getUser();
  if (!user) redirect("/login");
  const { data } = await client.from("appointments").select("id, starts_at").limit(50);
  return <ul>{data?.map((one) => <li key={one.id}>{one.starts_at}</li>)}</ul>;
}
