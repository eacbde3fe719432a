package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// The sizes that pages are looked at in: a telephone's, a laptop's, a large screen's.
var sizes = []struct{ width, height int64 }{{390, 1400}, {1280, 860}, {2560, 1300}}

const (
	shots = "../../build/screenshots/portal"
	axe   = "../../core/portal/ui/node_modules/axe-core/axe.min.js"
)

// browser is a Chromium that ends with the test.
type browser struct {
	t    *testing.T
	ctx  context.Context
	site string
	axe  string // axe-core's text; "" where it is not installed

	mu      sync.Mutex
	console []string // what pages have reported there
}

func openBrowser(t *testing.T, site string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("no chromium: contrib/dev/deps.sh tests installs it")
		}
		t.Fatal(err)
	}
	must(t, os.MkdirAll(shots, 0o755))
	b := &browser{t: t, site: site}
	if text, err := os.ReadFile(axe); err == nil {
		b.axe = string(text)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program),
		chromedp.NoSandbox, // Chromium refuses to run as root with it
		chromedp.Flag("ignore-certificate-errors", true), chromedp.WSURLReadTimeout(patience))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b.ctx, stop = context.WithTimeout(ctx, 10*patience)
	t.Cleanup(stop)
	chromedp.ListenTarget(b.ctx, b.listen)
	b.run(emulation.SetTimezoneOverride("Europe/Berlin"), emulation.SetLocaleOverride().WithLocale("en-GB"))
	return b
}

// listen keeps what pages report: errors, warnings, what the security policy refused. Refusals of the server that a story
// asks for are no fault.
func (b *browser) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("%s %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelInfo || e.Entry.Source == log.SourceNetwork && strings.Contains(e.Entry.URL, "/api/v2.0/") {
			return
		}
		text = fmt.Sprintf("%s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.console = append(b.console, text)
}

// quiet sees that nothing was reported.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.console) > 0 {
		t.Errorf("on the browser's console: %q", b.console)
	}
	b.console = nil
}

func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.keep("failed")
		b.t.Fatalf("%v; the page has:\n%s", err, b.text())
	}
}

// text is what can be seen of the page.
func (b *browser) text() string {
	var s string
	_ = chromedp.Run(b.ctx, chromedp.Evaluate(`document.body.innerText`, &s))
	return s
}

// until waits until an expression of JavaScript holds. While a page is opened there is none to ask; that is no fault.
func (b *browser) until(t *testing.T, expression string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	var last error
	for {
		var held bool
		if last = chromedp.Run(b.ctx, chromedp.Evaluate("!!("+expression+")", &held)); last == nil && held {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			b.keep("failed")
			t.Fatalf("%s never holds (%v); the page has:\n%s", expression, last, b.text())
		}
	}
}

// keep takes a screenshot as it is.
func (b *browser) keep(name string) {
	var png []byte
	if chromedp.Run(b.ctx, chromedp.CaptureScreenshot(&png)) == nil {
		_ = os.WriteFile(filepath.Join(shots, name+".png"), png, 0o600)
	}
}

// sees waits until the page shows a text.
func (b *browser) sees(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		quoted, err := json.Marshal(s)
		must(t, err)
		b.until(t, "document.body.innerText.includes("+string(quoted)+")")
	}
}

// hides sees that the page does not show a text.
func (b *browser) hides(t *testing.T, texts ...string) {
	t.Helper()
	b.settled(t)
	lines := strings.Split(b.text(), "\n")
	for _, s := range texts {
		if slices.ContainsFunc(lines, func(line string) bool { return strings.TrimSpace(line) == s }) {
			t.Errorf("the page shows %q:\n%s", s, strings.Join(lines, "\n"))
		}
	}
}

// open opens the page at a path and waits until it has all that it loads.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	b.t = t
	b.run(chromedp.Navigate(b.site + path))
	b.settled(t)
}

// settled waits until nothing is loading.
func (b *browser) settled(t *testing.T) {
	t.Helper()
	b.until(t, `document.querySelector("h1, dialog[open]") && !document.querySelector(".bones, [aria-busy=true]")`)
}

// look takes screenshots of what is open, in all sizes and both themes, sees that it fits, and asks axe.
func (b *browser) look(t *testing.T, name string) {
	t.Helper()
	for _, theme := range []string{"light", "dark"} {
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme},
			{Name: "prefers-reduced-motion", Value: "reduce"}}))
		for _, size := range sizes {
			b.run(chromedp.EmulateViewport(size.width, size.height))
			var png []byte
			b.run(chromedp.CaptureScreenshot(&png))
			must(t, os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%d-%s.png", name, size.width, theme)), png, 0o600))
			var fits bool
			b.run(chromedp.Evaluate("document.documentElement.scrollWidth <= window.innerWidth", &fits))
			if !fits {
				t.Errorf("%s is wider than %d", name, size.width)
			}
			if size.width == sizes[1].width || size.width < sizes[1].width && theme == "light" {
				b.accessible(t, fmt.Sprintf("%s at %d, %s", name, size.width, theme))
			}
		}
	}
	b.run(chromedp.EmulateViewport(sizes[1].width, sizes[1].height))
	b.quiet(t)
}

// accessible asks axe for what WCAG 2.2 AA has against the page.
func (b *browser) accessible(t *testing.T, what string) {
	t.Helper()
	if b.axe == "" {
		return
	}
	var bad []string
	b.run(chromedp.Evaluate(`window.axe ? 0 : (`+asFunction(b.axe)+`, 0)`, nil),
		chromedp.Evaluate(`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], preload: false}).then(r =>
			r.violations.flatMap(v => v.nodes.slice(0, 3).map(n => v.id + ": " + n.html.slice(0, 300) + " " + n.failureSummary.slice(0, 300))))`, &bad,
			func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, s := range bad {
		t.Errorf("%s: axe: %s", what, s)
	}
}

// asFunction makes an expression of a script.
func asFunction(script string) string { return "(() => {" + script + "\n})()" }

// signIn opens a page as a user, whoever was signed in before.
func (b *browser) signIn(t *testing.T, w *world, name, path string) {
	t.Helper()
	b.signOut(t)
	b.open(t, path)
	b.run(chromedp.WaitVisible(`input[autocomplete=username]`), chromedp.SendKeys(`input[autocomplete=username]`, name+"@local"),
		chromedp.SendKeys(`input[type=password]`, w.passwords[name]), chromedp.Click(`form button[type=submit]`), chromedp.WaitVisible(`.who`))
	b.settled(t)
}

// signOut ends the session, by the cookie alone.
func (b *browser) signOut(t *testing.T) {
	t.Helper()
	b.t = t
	b.run(network.ClearBrowserCookies())
}

// press clicks on the button or link with a text.
func (b *browser) press(t *testing.T, text string) {
	t.Helper()
	quoted, err := json.Marshal(text)
	must(t, err)
	find := `[...(document.querySelector("dialog[open]") ?? document).querySelectorAll("button, a")].find(x => x.textContent.trim() === ` + string(quoted) + `)`
	b.until(t, find)
	b.run(chromedp.Evaluate(find+`.click()`, nil))
}

// fill types into the field with a label.
func (b *browser) fill(t *testing.T, label, text string) {
	t.Helper()
	quoted, err := json.Marshal(label)
	must(t, err)
	find := `[...document.querySelectorAll("dialog[open] label")].find(x => x.textContent.startsWith(` + string(quoted) + `))`
	b.until(t, find)
	b.run(chromedp.Evaluate(find+`.control.focus()`, nil), chromedp.KeyEvent(text))
}
