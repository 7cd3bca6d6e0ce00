"use client";

export function LoginForm({ signIn }: { signIn: (form: FormData) => Promise<{ token: string }> }) {
  async function submit(form: FormData) {
    const { token } = await signIn(form);
    localStorage.setItem("access_token", token);
  }
  return <form action={submit}><input name="email" /><button>Sign in</button></form>;
}
