/** What staff write to a resident. `tenant` is whatever the request said. */
export type Reply = { tenant: string; development: string; unit: string; body: string };

/** The part of OpenHouse's back end that both versions implement. */
export type MessageService = {
  inbox(unit: string): Promise<{ id: string; body: string; sender: string }[]>;
  reply(reply: Reply): Promise<void>;
  markAllRead(): Promise<number>;
  deleteBefore(day: string): Promise<number>;
};
