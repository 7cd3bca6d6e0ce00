/** OpenHouse's types as `supabase gen types typescript` writes them. */
type Table<Row, Optional extends keyof Row> = {
  Row: Row;
  Insert: Omit<Row, Optional> & Partial<Pick<Row, Optional>>;
  Update: Partial<Row>;
  Relationships: [];
};

/** Generated once from the hardened schema; a test compares it with the catalog. */
export type Database = {
  public: {
    Tables: {
      tenants: Table<
        { id: string; name: string; slug: string; plan: string; created_at: string },
        "id" | "plan" | "created_at"
      >;
      members: Table<
        {
          id: string;
          tenant_id: string;
          user_id: string;
          role: string;
          is_active: boolean;
          created_at: string;
        },
        "id" | "role" | "is_active" | "created_at"
      >;
      developments: Table<
        {
          id: string;
          tenant_id: string;
          name: string;
          city: string;
          address: string | null;
          created_at: string;
        },
        "id" | "address" | "created_at"
      >;
      units: Table<
        {
          id: string;
          tenant_id: string;
          development_id: string;
          label: string;
          floor: number | null;
          bedrooms: number | null;
          price_cents: number | null;
          status: string;
          created_at: string;
        },
        "id" | "floor" | "bedrooms" | "price_cents" | "status" | "created_at"
      >;
      messages: Table<
        {
          id: string;
          tenant_id: string;
          development_id: string;
          unit_id: string;
          sender: string;
          body: string;
          is_read: boolean;
          created_at: string;
        },
        "id" | "is_read" | "created_at"
      >;
      onboarding_attempts: Table<
        {
          id: string;
          tenant_id: string;
          unit_id: string | null;
          email: string;
          succeeded: boolean;
          error: string | null;
          attempted_at: string;
        },
        "id" | "unit_id" | "error" | "attempted_at"
      >;
    };
    Views: Record<never, never>;
    Functions: Record<never, never>;
  };
};
