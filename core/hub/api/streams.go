package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/role"
)

// Logs and shells are the streams of containers that the hub changes on the way, so that a page can use them.
func streamRoutes() []route {
	return []route{
		{method: "GET", path: inVCH + "/containers/{name}/logs", id: "logsContainer", needs: role.ContainerRead, run: (*api).logs,
			query: []string{"since", "until", "tail", "follow", "contains", "plain"}, media: "application/x-ndjson",
			says: "Get the log of a container, a line of JSON each: s is 1 for output and 2 for errors, t the time, m the text"},
		{method: "GET", path: inVCH + "/containers/{name}/shell", id: "shellContainer", needs: role.ContainerWrite, run: (*api).shell, does: "exec",
			query: []string{"cmd", "user", "cols", "rows"}, media: "application/octet-stream", status: http.StatusSwitchingProtocols,
			says: "Open a shell in a container by WebSocket: binary messages are what is typed and shown, a text {\"cols\":80,\"rows\":24} is a new size"},
	}
}

// logLine is a line of a container's log.
type logLine struct {
	Stream int    `json:"s"`
	Time   string `json:"t,omitempty"`
	Text   string `json:"m"`
}

// Bounds of logs, in bytes. A longer line comes in parts.
const (
	maxLogLine  = 16 << 10
	maxFrame    = 16 << 20
	maxContains = 256
)

// logTime is what since and until may be: seconds since 1970, with a fraction.
var logTime = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?$`)

func (a *api) logs(c *call) error {
	q := c.r.URL.Query()
	out := url.Values{"stdout": {"1"}, "stderr": {"1"}, "timestamps": {"1"}}
	for _, k := range []string{"since", "until"} {
		if v := q.Get(k); v != "" && !logTime.MatchString(v) {
			return badRequest("%s: want seconds since 1970", k)
		} else if v != "" {
			out.Set(k, v)
		}
	}
	if v := q.Get("tail"); v != "" {
		if n, err := strconv.ParseUint(v, 10, 31); err != nil {
			return badRequest("tail: want a number of lines")
		} else if n > 0 {
			out.Set("tail", v)
		}
	}
	follow, err := c.wants("follow", false)
	if err != nil {
		return err
	}
	if follow {
		out.Set("follow", "1")
	}
	plainText, err := c.wants("plain", false)
	if err != nil {
		return err
	}
	contains := q.Get("contains")
	if len(contains) > maxContains {
		return badRequest("contains: want at most %d bytes", maxContains)
	}
	path, err := c.dockerPath(dockerRoute{path: "/containers/{name}/logs"})
	if err != nil {
		return err
	}
	conn, err := a.conn(c)
	if err != nil {
		return err
	}
	ctx, cancel := a.whileAllowed(c)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, conn.URL(path+"?"+out.Encode()), nil)
	if err != nil {
		return err
	}
	res, err := conn.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return vchError(fleet.Refusal(res))
	}
	w := &logWriter{w: c.w, contains: contains, plain: plainText}
	w.begin(strings.ReplaceAll(c.r.PathValue("name"), `"`, ""))
	if res.Header.Get("Content-Type") == "application/vnd.docker.raw-stream" {
		err = w.lines(1, res.Body)
	} else {
		err = w.frames(res.Body)
	}
	if err != nil && !errors.Is(err, errGone) && ctx.Err() == nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	return nil
}

// logWriter writes lines as a client wants them.
type logWriter struct {
	w        http.ResponseWriter
	contains string // only such lines; "" is in all
	plain    bool   // text, for a file
}

func (w *logWriter) begin(name string) {
	h := w.w.Header()
	if w.plain {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="`+name+`.log"`)
	} else {
		h.Set("Content-Type", "application/x-ndjson")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w.w).Flush() // a writer that cannot writes at once
}

// line writes one with its time before the first space.
func (w *logWriter) line(stream int, text string) error {
	at, rest, ok := strings.Cut(text, " ")
	if _, err := time.Parse(time.RFC3339Nano, at); !ok || err != nil {
		at, rest = "", text
	}
	rest = strings.TrimSuffix(rest, "\r")
	if !strings.Contains(rest, w.contains) {
		return nil
	}
	var b []byte
	if w.plain {
		b = []byte(strings.TrimPrefix(at+" "+rest+"\n", " "))
	} else {
		var err error
		if b, err = json.Marshal(logLine{stream, at, strings.ToValidUTF8(rest, "\uFFFD")}); err != nil {
			return err
		}
		b = append(b, '\n')
	}
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// lines reads the log of a container with a terminal.
func (w *logWriter) lines(stream int, from io.Reader) error {
	r := bufio.NewReaderSize(from, maxLogLine)
	for {
		b, err := r.ReadSlice('\n')
		if len(b) > 0 {
			if err := w.line(stream, strings.TrimSuffix(string(b), "\n")); err != nil {
				return err
			}
			if r.Buffered() == 0 {
				_ = http.NewResponseController(w.w).Flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// frames reads the log of a container without a terminal: parts with a header of eight bytes, the stream in the first and
// the length in the last four. Docker's rule; a line is in one part, but a long one may be in several.
func (w *logWriter) frames(from io.Reader) error {
	r := bufio.NewReaderSize(from, 32<<10)
	var open [3][]byte // what has no end of line yet
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		stream, length := int(head[0]), binary.BigEndian.Uint32(head[4:])
		if stream > 2 || length > maxFrame {
			return fmt.Errorf("a part of stream %d and %d bytes", stream, length)
		}
		stream = max(stream, 1)
		for part := io.LimitReader(r, int64(length)); ; {
			b := make([]byte, min(int(length), 4096))
			n, err := part.Read(b)
			if open[stream], err = w.split(stream, append(open[stream], b[:n]...), err); err != nil {
				if errors.Is(err, io.EOF) {
					break
				}
				return err
			}
		}
		if r.Buffered() == 0 {
			_ = http.NewResponseController(w.w).Flush()
		}
	}
	for stream, b := range open {
		if len(b) > 0 {
			if err := w.line(stream, string(b)); err != nil {
				return err
			}
		}
	}
	return nil
}

// split writes the lines that are whole, or too long, and returns the rest, with the error that it was given.
func (w *logWriter) split(stream int, b []byte, given error) ([]byte, error) {
	for {
		end, next := bytes.IndexByte(b, '\n'), 0
		switch {
		case end >= 0:
			next = end + 1
		case len(b) < maxLogLine:
			return b, given
		default:
			end, next = maxLogLine, maxLogLine
		}
		if err := w.line(stream, string(b[:end])); err != nil {
			return nil, err
		}
		b = b[next:]
	}
}

// defaultShell is bash where there is one.
const defaultShell = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"

// size is that of a terminal, in characters.
type size struct {
	Cols int `json:"cols"`
	Rows int `json:"rows"`
}

func (s size) ok() bool { return s.Cols >= 1 && s.Cols <= 1000 && s.Rows >= 1 && s.Rows <= 1000 }

// execRequest is what makes a shell; Docker's POST /containers/{id}/exec.
type execRequest struct {
	Cmd, Env                                     []string
	User                                         string `json:",omitempty"`
	AttachStdin, AttachStdout, AttachStderr, Tty bool
	ConsoleSize                                  [2]int // rows, columns
}

func (c *call) execRequest() (execRequest, error) {
	q := c.r.URL.Query()
	e := execRequest{Cmd: q["cmd"], Env: []string{"TERM=xterm-256color"}, User: q.Get("user"),
		AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true}
	if len(e.Cmd) == 0 {
		e.Cmd = []string{"/bin/sh", "-c", defaultShell}
	}
	window := size{80, 24}
	for name, to := range map[string]*int{"cols": &window.Cols, "rows": &window.Rows} {
		if v := q.Get(name); v != "" {
			*to, _ = strconv.Atoi(v) // 0 is refused below
		}
	}
	if !window.ok() {
		return e, badRequest("cols and rows: want 1 to 1000")
	}
	e.ConsoleSize = [2]int{window.Rows, window.Cols}
	return e, nil
}

const shellTime = 30 * time.Second // in which the VCH answers what a shell needs

func (a *api) shell(c *call) error {
	e, err := c.execRequest()
	if err != nil {
		return err
	}
	path, err := c.dockerPath(dockerRoute{path: "/containers/{name}/exec"})
	if err != nil {
		return err
	}
	conn, err := a.conn(c)
	if err != nil {
		return err
	}
	if !strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket") {
		return &Error{Status: http.StatusUpgradeRequired, Code: "BAD_REQUEST", Message: "a shell needs a WebSocket"}
	}
	ctx, cancel := a.whileAllowed(c)
	defer cancel()
	var made struct{ ID string }
	if err := conn.Call(ctx, shellTime, http.MethodPost, path, e, &made); err != nil {
		return vchError(err)
	}
	if !dockerName.MatchString(made.ID) {
		return &Error{Status: http.StatusBadGateway, Code: "BAD_GATEWAY", Message: "the VCH answers what cannot be read"}
	}
	stream, from, err := conn.Hijack(ctx, "/exec/"+made.ID+"/start", map[string]any{"Tty": true, "Detach": false, "ConsoleSize": e.ConsoleSize})
	if err != nil {
		return vchError(err)
	}
	defer stream.Close()
	// A page of another origin is refused by Accept.
	ws, err := websocket.Accept(c.w, c.r, nil)
	if err != nil {
		return nil //nolint:nilerr // Accept has answered
	}
	defer func() { _ = ws.CloseNow() }() // after Close it does nothing
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	go func() {
		defer cancel()
		fromBrowser(ctx, ws, stream, func(s size) {
			_ = conn.Call(ctx, shellTime, http.MethodPost, fmt.Sprintf("/exec/%s/resize?h=%d&w=%d", made.ID, s.Rows, s.Cols), nil, nil) // it has ended
		})
	}()
	toBrowser(ctx, ws, from)
	_ = ws.Close(websocket.StatusNormalClosure, exitText(ctx, conn, made.ID)) // the browser may have gone
	return nil
}

// exitText is what the browser is told at the end.
func exitText(ctx context.Context, conn *fleet.Conn, id string) string {
	var e struct{ ExitCode *int }
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shellTime)
	defer cancel()
	if err := conn.Call(ctx, shellTime, http.MethodGet, "/exec/"+id+"/json", nil, &e); err != nil || e.ExitCode == nil {
		return "ended"
	}
	return "exit code " + strconv.Itoa(*e.ExitCode)
}

// fromBrowser passes on what comes from the browser until it goes.
func fromBrowser(ctx context.Context, ws *websocket.Conn, to io.Writer, resize func(size)) {
	for {
		kind, b, err := ws.Read(ctx) // of at most 32 KB
		if err != nil {
			return
		}
		if kind == websocket.MessageText {
			var s size
			if json.Unmarshal(b, &s) == nil && s.ok() {
				resize(s)
			}
			continue
		}
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

// toBrowser passes on what the shell writes until it ends or the browser goes.
func toBrowser(ctx context.Context, ws *websocket.Conn, from io.Reader) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			wctx, cancel := context.WithTimeout(ctx, time.Minute)
			werr := ws.Write(wctx, websocket.MessageBinary, b[:n])
			cancel()
			if werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
