import { admin } from "../../../lib/admin";

export async function GET(request: Request) {
  const org = request.headers.get("x-org-id");
  const { data, error } = await admin.from("answers").select("*").eq("org_id", org);
  if (error) return Response.json({ error: error.message, stack: error.stack }, { status: 500 });
  return Response.json(data);
}
