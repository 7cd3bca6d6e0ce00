import type { FieldCipher } from "../../../functions/_core/keys/field-cipher.ts";
import type { OrgDatabase } from "./org-database.ts";

/** The tokens with which a survey's answers go to the organization's own systems. */
export type Integrations = {
  /** False when the survey is another organization's, or none. */
  keep(database: OrgDatabase, surveyId: string, token: string): Promise<boolean>;
  /** Null when there is none. */
  token(database: OrgDatabase, surveyId: string): Promise<string | null>;
};

const CLASS = "integration-token";
const placeOf = (surveyId: string) => ({
  table: "public.surveys",
  column: "integration_token",
  row: surveyId,
});

/**
 * Tokens under a key of their organization: the database and its backups hold ciphertext that belongs to one row. A
 * token that is read under an older key is encrypted anew; `bulkhead keys re-encrypt` does it for those nobody reads.
 *
 * @example
 * const tokens = integrations(fieldCipher(await openKeyring({ store, kek })));
 * await tokens.keep(orgDatabase(pool, session), surveyId, token);
 */
export function integrations(fields: FieldCipher): Integrations {
  return {
    async keep(database, surveyId, token) {
      const [survey] = await database((tx) =>
        tx<{ org_id: string }[]>`select org_id from public.surveys where id = ${surveyId}`
      );
      if (!survey) return false;
      // Between transactions: a new key goes to the store first, and a connection should not wait for that.
      const sealed = await fields.encryptForTenant(survey.org_id, CLASS, token, placeOf(surveyId));
      const { count } = await database((tx) =>
        tx`update public.surveys set integration_token = ${sealed} where id = ${surveyId}`
      );
      return count === 1;
    },
    async token(database, surveyId) {
      const [survey] = await database((tx) =>
        tx<{ org_id: string; sealed: string }[]>`
          select org_id, integration_token as sealed
          from public.surveys where id = ${surveyId} and integration_token is not null`
      );
      if (!survey) return null;
      const { org_id: org, sealed } = survey;
      const token = await fields.decryptForTenant(org, CLASS, sealed, placeOf(surveyId));
      if (!await fields.isCurrent(org, CLASS, sealed)) {
        const fresh = await fields.encryptForTenant(org, CLASS, token, placeOf(surveyId));
        // Whoever wrote another token meanwhile is right.
        await database((tx) =>
          tx`update public.surveys set integration_token = ${fresh}
             where id = ${surveyId} and integration_token = ${sealed}`
        );
      }
      return token;
    },
  };
}
