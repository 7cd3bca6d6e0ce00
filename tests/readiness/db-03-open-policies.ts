import type { Cases } from "../support/readiness-cases.ts";

const sql = (policies: string, columns = "id int, org_id int") => ({
  "supabase/migrations/1_a.sql":
    `create table items (${columns});\nalter table items enable row level security;\n${policies}`,
});

export const cases: Cases = {
  rule: "DB-03",
  cases: {
    "everything for everybody who signs in": {
      files: sql(
        "create policy p on items for all to authenticated using (true) with check (true);",
      ),
      status: "fail",
      severity: "p0",
      at: ["supabase/migrations/1_a.sql:3"],
    },
    "every spelling of true": {
      files: sql(
        "create policy p on items for delete using ((select true) or org_id = 1);\ncreate policy q on items for update using (1 = 1);",
      ),
      status: "fail",
      at: ["supabase/migrations/1_a.sql:3", "supabase/migrations/1_a.sql:4"],
    },
    "whoever is signed in is not whoever owns the row": {
      files: sql(
        "create policy p on items for update to authenticated using (auth.uid() is not null);",
      ),
      status: "fail",
      severity: "p0",
    },
    "a row that may be handed to anyone": {
      files: sql(
        "create policy p on items for update to authenticated using (org_id = my_org()) with check (true);",
      ),
      status: "fail",
      says: /hand it to anyone/,
    },
    "the service role passes anyway": {
      files: sql(
        "create policy p on items to service_role using (true) with check (true);\ncreate policy q on items for select to authenticated using (org_id = my_org());",
      ),
      status: "pass",
    },
    "prices may be read by everybody": {
      files: sql("create policy p on items for select using (true);", "id int, price int"),
      status: "pass",
    },
    "a restrictive policy opens nothing": {
      files: sql(
        "create policy p on items as restrictive for all to authenticated using (true);\ncreate policy q on items for all to authenticated using (org_id = my_org());",
      ),
      status: "pass",
    },
    "an update without a check is held by its using": {
      files: sql("create policy p on items for update to authenticated using (org_id = my_org());"),
      status: "pass",
    },
    "what a later migration drops is gone": {
      files: {
        ...sql("create policy p on items for all using (true);"),
        "supabase/migrations/2_b.sql":
          'drop policy "p" on items;\ncreate policy q on items using (org_id = my_org());',
      },
      status: "pass",
    },
    "a form on a site is a weakness": {
      files: sql(
        "create policy p on items for insert to anon with check (true);",
        "id int, email text",
      ),
      status: "warn",
      severity: "p2",
    },
    "policies of the application's own role are policies": {
      files: sql("create policy p on items to app using (org_id = my_org());"),
      status: "pass",
    },
    "no policies, no question": { files: sql(""), status: "not-applicable" },
  },
};
