import { sql } from "drizzle-orm";
import {
  bigint,
  foreignKey,
  integer,
  jsonb,
  type PgColumn,
  pgTable,
  primaryKey,
  real,
  text,
  timestamp,
  unique,
} from "drizzle-orm/pg-core";

/** The schema as of 0006. Each key carries the tenant: a rating can't point to another tenant's skill. */
const createdAt = () => timestamp("created_at", { withTimezone: true }).notNull().defaultNow();

export const tenants = pgTable("tenants", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  createdAt: createdAt(),
});

/** Required, without a default: a forgotten tenant must fail, not land somewhere. */
const tenantId = () =>
  text("tenant_id").notNull().references(() => tenants.id, { onDelete: "restrict" });

type Owned = { tenantId: PgColumn; id: PgColumn };

/** A foreign key of (tenant_id, column) to a parent of the same tenant; the parent can't go while it is pointed to. */
const within = (name: string, child: [PgColumn, PgColumn], parent: Owned) =>
  foreignKey({ name, columns: child, foreignColumns: [parent.tenantId, parent.id] }).onDelete(
    "restrict",
  );

export const users = pgTable("users", {
  id: text("id").primaryKey(),
  email: text("email").notNull(),
  name: text("name").notNull(),
  role: text("role", { enum: ["admin", "member"] }).notNull().default("member"),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("users_tenant_id_id_key").on(t.tenantId, t.id),
  unique("users_tenant_id_email_key").on(t.tenantId, t.email),
]);

export const skills = pgTable("skills", {
  id: text("id").primaryKey(),
  authorId: text("author_id"),
  slug: text("slug").notNull(),
  title: text("title").notNull(),
  description: text("description"),
  status: text("status", { enum: ["draft", "published", "retired"] }).notNull().default("draft"),
  priceCents: integer("price_cents").notNull().default(0),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("skills_tenant_id_id_key").on(t.tenantId, t.id),
  unique("skills_tenant_id_slug_key").on(t.tenantId, t.slug),
  within("skills_author_id_fkey", [t.tenantId, t.authorId], users),
]);

export const ratings = pgTable("ratings", {
  id: text("id").primaryKey(),
  skillId: text("skill_id").notNull(),
  userId: text("user_id").notNull(),
  score: integer("score").notNull(),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("ratings_tenant_id_id_key").on(t.tenantId, t.id),
  unique("ratings_tenant_id_skill_id_user_id_key").on(t.tenantId, t.skillId, t.userId),
  within("ratings_skill_id_fkey", [t.tenantId, t.skillId], skills),
  within("ratings_user_id_fkey", [t.tenantId, t.userId], users),
]);

export const usageEvents = pgTable("usage_events", {
  id: bigint("id", { mode: "bigint" }).primaryKey().generatedAlwaysAsIdentity(),
  skillId: text("skill_id").notNull(),
  userId: text("user_id"),
  kind: text("kind").notNull().default("run"),
  tokens: integer("tokens").notNull().default(0),
  occurredAt: timestamp("occurred_at", { withTimezone: true }).notNull().defaultNow(),
  tenantId: tenantId(),
}, (t) => [
  unique("usage_events_tenant_id_id_key").on(t.tenantId, t.id),
  within("usage_events_skill_id_fkey", [t.tenantId, t.skillId], skills),
  within("usage_events_user_id_fkey", [t.tenantId, t.userId], users),
]);

export const skillVersions = pgTable("skill_versions", {
  id: text("id").primaryKey(),
  skillId: text("skill_id").notNull(),
  version: integer("version").notNull(),
  body: text("body").notNull(),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("skill_versions_tenant_id_id_key").on(t.tenantId, t.id),
  unique("skill_versions_tenant_id_skill_id_version_key").on(t.tenantId, t.skillId, t.version),
  within("skill_versions_skill_id_fkey", [t.tenantId, t.skillId], skills),
]);

export const skillEmbeddings = pgTable("skill_embeddings", {
  id: text("id").primaryKey(),
  skillId: text("skill_id").notNull(),
  model: text("model").notNull(),
  embedding: real("embedding").array().notNull(),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("skill_embeddings_tenant_id_id_key").on(t.tenantId, t.id),
  unique("skill_embeddings_tenant_id_skill_id_key").on(t.tenantId, t.skillId),
  within("skill_embeddings_skill_id_fkey", [t.tenantId, t.skillId], skills),
]);

export const skillReviews = pgTable("skill_reviews", {
  id: text("id").primaryKey(),
  skillId: text("skill_id").notNull(),
  reviewerId: text("reviewer_id"),
  verdict: text("verdict", { enum: ["pending", "approved", "rejected"] }).notNull().default(
    "pending",
  ),
  notes: text("notes"),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("skill_reviews_tenant_id_id_key").on(t.tenantId, t.id),
  unique("skill_reviews_tenant_id_skill_id_key").on(t.tenantId, t.skillId),
  within("skill_reviews_skill_id_fkey", [t.tenantId, t.skillId], skills),
  within("skill_reviews_reviewer_id_fkey", [t.tenantId, t.reviewerId], users),
]);

export const apiKeys = pgTable("api_keys", {
  id: text("id").primaryKey(),
  userId: text("user_id").notNull(),
  name: text("name").notNull(),
  keyHash: text("key_hash").notNull(),
  lastUsedAt: timestamp("last_used_at", { withTimezone: true }),
  createdAt: createdAt(),
  tenantId: tenantId(),
}, (t) => [
  unique("api_keys_tenant_id_id_key").on(t.tenantId, t.id),
  unique("api_keys_tenant_id_key_hash_key").on(t.tenantId, t.keyHash),
  within("api_keys_user_id_fkey", [t.tenantId, t.userId], users),
]);

export const siteSettings = pgTable("site_settings", {
  key: text("key").notNull(),
  value: jsonb("value").notNull(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().default(sql`now()`),
  tenantId: tenantId(),
}, (t) => [primaryKey({ name: "site_settings_pkey", columns: [t.tenantId, t.key] })]);

/** The nine tables of tenants. */
export const TABLES = {
  users,
  skills,
  ratings,
  usageEvents,
  skillVersions,
  skillEmbeddings,
  skillReviews,
  apiKeys,
  siteSettings,
} as const;
