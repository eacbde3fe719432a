package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cdbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/openvic/vic/tests/harness"
)

// The widths that pages are looked at with: a telephone's and a computer's.
const (
	narrow = 390
	wide   = 1280
)

// chrome is a headless Chromium that looks at the admin site.
type chrome struct {
	t    *testing.T
	ctx  context.Context
	site string // URL without a path

	mu      sync.Mutex
	console []string // what was reported there
	shots   map[string][]byte
}

// openChrome starts Chromium until the test ends. The screenshots go to build/screenshots.
func openChrome(t *testing.T, site string) *chrome {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: contrib/dev/deps.sh tests installs it", err)
	}
	c := &chrome{t: t, site: site, shots: map[string][]byte{}}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program),
		chromedp.NoSandbox, // Chromium refuses to run as root with it
		chromedp.Flag("ignore-certificate-errors", true), chromedp.WSURLReadTimeout(harness.Patience))
	alloc, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	c.ctx, stop = context.WithTimeout(ctx, 2*harness.Patience)
	t.Cleanup(stop)
	t.Cleanup(c.keep)
	chromedp.ListenTarget(c.ctx, c.listen)
	c.run()
	return c
}

// listen keeps what pages report on the console: errors, warnings, what the security policy refused.
func (c *chrome) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("%s %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		text = fmt.Sprintf("%s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.console = append(c.console, text)
}

// quiet sees that nothing was reported on the console.
func (c *chrome) quiet() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.console) > 0 {
		c.t.Errorf("on the browser's console: %q", c.console)
	}
	c.console = nil
}

// keep writes the screenshots down.
func (c *chrome) keep() {
	dir := filepath.Join(theLab.Build, "screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Error(err)
	}
	for name, png := range c.shots {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			c.t.Error(err)
		}
	}
	c.t.Logf("screenshots are in %s", dir)
}

func (c *chrome) run(actions ...chromedp.Action) {
	c.t.Helper()
	if err := chromedp.Run(c.ctx, actions...); err != nil {
		var png []byte
		if chromedp.Run(c.ctx, chromedp.CaptureScreenshot(&png)) == nil {
			c.shots["failed"] = png
		}
		c.t.Fatal(err)
	}
}

// text is what can be seen of the page.
func (c *chrome) text() string {
	c.t.Helper()
	var s string
	c.run(chromedp.Evaluate("document.body.innerText", &s))
	return s
}

// look opens a page in a window of that width, sees that it fits and that it shows what is wanted, and
// takes a screenshot.
func (c *chrome) look(path string, width int64, scheme string, wants ...string) {
	c.t.Helper()
	c.run(chromedp.EmulateViewport(width, 800),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(c.site+path))
	c.shot(path, width, scheme)
	text := c.text()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			c.t.Errorf("%s at %d: no %q in:\n%s", path, width, w, text)
		}
	}
	var fits bool
	c.run(chromedp.Evaluate("document.documentElement.scrollWidth <= window.innerWidth", &fits))
	if !fits {
		c.t.Errorf("%s is wider than %d", path, width)
	}
	// One word of a heading's size and the text in the window's colour: the style sheet is in use.
	var styled bool
	c.run(chromedp.Evaluate(`getComputedStyle(document.querySelector("header")).backgroundColor != "rgba(0, 0, 0, 0)"`, &styled))
	if !styled {
		c.t.Errorf("%s has no style sheet", path)
	}
}

func (c *chrome) shot(path string, width int64, scheme string) {
	c.t.Helper()
	name := strings.Trim(strings.ReplaceAll(path, "/", "-"), "-")
	if name == "" {
		name = "health"
	}
	var png []byte
	c.run(chromedp.FullScreenshot(&png, 100))
	c.shots[fmt.Sprintf("%s-%d-%s", name, width, scheme)] = png
}

// download clicks on a link and returns the file that came.
func (c *chrome) download(selector string) []byte {
	c.t.Helper()
	dir := c.t.TempDir()
	done := make(chan string, 1)
	chromedp.ListenTarget(c.ctx, func(event any) {
		if e, ok := event.(*cdbrowser.EventDownloadProgress); ok && e.State == cdbrowser.DownloadProgressStateCompleted {
			done <- e.GUID
		}
	})
	c.run(cdbrowser.SetDownloadBehavior(cdbrowser.SetDownloadBehaviorBehaviorAllowAndName).WithDownloadPath(dir).WithEventsEnabled(true),
		chromedp.Click(selector))
	select {
	case guid := <-done:
		b, err := os.ReadFile(filepath.Join(dir, guid))
		if err != nil {
			c.t.Fatal(err)
		}
		return b
	case <-time.After(harness.Patience):
		c.t.Fatal("no file comes")
		return nil
	}
}

// withAdminCert serves the admin site to clients without a certificate, as the administrator who has
// one: headless Chromium cannot be given certificates but by a policy of the whole machine.
func withAdminCert(t *testing.T) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(theLab.Certs, "admin-cert.pem"), filepath.Join(theLab.Certs, "admin-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	s := httptest.NewTLSServer(&httputil.ReverseProxy{Transport: tr, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "https", Host: harness.AdminAddr})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// adminPages are the pages and what is on them where a container called shown runs.
func adminPages() map[string][]string {
	return map[string][]string{
		"/":           {"Ready", "vsphere", "healthy", "datastore1", "volumes default", "GiB", "docker-ca", "vCenter", "running"},
		"/containers": {"shown", "busybox", "running", "bridge 172.16."},
		"/events":     {"shown-", "info", strings.Split(harness.OpsUser, "@")[0]},
		"/logs":       {"level=INFO", "Follow"},
	}
}

func TestAdminSiteInABrowser(t *testing.T) {
	beside(t)
	container(t, "--name", "shown", "busybox", "sleep", "36000")
	container(t, "--name", "failed", "busybox", "sh", "-c", "exit 3")
	c := openChrome(t, withAdminCert(t))
	for path, wants := range adminPages() {
		if path == "/events" { // others have events too, and the page shows the latest
			docker(t, "restart", "-t", "0", "shown")
		}
		c.look(path, wide, "light", wants...)
		c.look(path, narrow, "dark", wants...)
	}
	c.quiet()
	c.run(chromedp.EmulateViewport(wide, 800), chromedp.Navigate(c.site+"/logs"), chromedp.Click(`button[name="follow"]`),
		chromedp.WaitVisible(".state .pill"))
	var before, after string
	c.run(chromedp.TextContent(".log pre", &before))
	newBrowser(t, true).get("/bundle") // which is logged
	c.run(chromedp.Poll(`document.querySelector(".log pre").textContent.length > `+fmt.Sprint(len(before)), nil, chromedp.WithPollingTimeout(harness.Patience)),
		chromedp.TextContent(".log pre", &after))
	if !strings.HasPrefix(after, before) || !strings.Contains(after, "admin site: log bundle") {
		t.Errorf("the log does not go on:\n%s\nthen\n%s", before, after)
	}
	c.shot("/live", wide, "dark")
	c.quiet()
}

func TestAdminSiteLoginInABrowser(t *testing.T) {
	beside(t, harness.Own("the tries of a password"))
	c := openChrome(t, "https://"+harness.AdminAddr)
	c.look("/login", wide, "light", "vSphere user", "Password")
	c.look("/login", narrow, "dark", "vSphere user", "Password")
	c.run(chromedp.Navigate(c.site+"/login"), chromedp.SendKeys("#user", harness.User), chromedp.SendKeys("#password", harness.Password),
		chromedp.Click(".login button"), chromedp.WaitVisible(".tiles, .problem"))
	if text := c.text(); !strings.Contains(text, harness.User) || !strings.Contains(text, "Log out") {
		t.Errorf("after the login:\n%s", text)
	}
	c.look("/events", narrow, "light")
	checkBundle(t, c.download(`a[href="/bundle"]`))
	c.run(chromedp.Click(".caller button"), chromedp.WaitVisible("#password"))
	c.quiet()
	c.run(page.Close())
}
