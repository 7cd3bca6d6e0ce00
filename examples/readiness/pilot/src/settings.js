import { z } from "zod";

/** Everything that the service needs; it does not start without. */
export const settings = z.object({
  DATABASE_URL: z.string().url(),
  JWT_SECRET: z.string().min(32),
  PORT: z.coerce.number().default(3000),
}).parse(process.env);
