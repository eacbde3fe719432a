// Package access says who calls a core host, and keeps what browsers and guessers must not do from every API that
// the host serves: the Docker API, the administrators' API and site, and those of the hub.
//
// It grows no opinion on what a caller may do: that is each API's own table. It owns
//
//   - cross-site protection (SameSite, JSON): a browser's certificate or cookie alone moves nothing;
//   - the Caller of a request, from a verified certificate, the owner's unix socket, or a session;
//   - Sessions, with idle and absolute ends, listed and ended;
//   - Limiter, which slows down who guesses passwords;
//   - Trail, the record of who did what, from where, with what outcome.
package access
