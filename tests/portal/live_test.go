package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/openvic/vic/core/hub/vchs/vchtest"
)

// vch makes one of the tests' own, with containers, a resource of a project.
func (w *world) vch(name, project string, containers ...*vchtest.Container) *vchtest.Host {
	w.t.Helper()
	host := vchtest.Serve(w.t)
	host.Docker.Add(containers...)
	var made struct {
		ID      int64  `json:"id"`
		Request string `json:"certificate_request"`
	}
	must(w.t, json.Unmarshal(w.do(admin, http.MethodPost, "/api/v2.0/vchs", map[string]any{"uid": "uid-" + name, "name": name, "projects": []string{project}}).body, &made))
	w.do(admin, http.MethodPut, fmt.Sprintf("/api/v2.0/vchs/%d", made.ID), map[string]any{"address": host.Address, "server_name": "vch.test",
		"server_ca": host.ServerCA, "certificate": host.Sign(w.t, made.Request)})
	return host
}

// live goes through what runs: the list, a container with its log and its shell, a new one, a VCH that goes away.
func live(t *testing.T, w *world, b *browser) {
	now := time.Now().Unix()
	app := func(service string) map[string]string {
		return map[string]string{"com.docker.compose.project": "storefront", "com.docker.compose.service": service}
	}
	one := w.vch("vch-fra-01", "shop",
		&vchtest.Container{ID: vchtest.ID(1), Name: "checkout-api", Image: "hub.test/shop/checkout-api:2.8.0", State: "running", Status: "Up 3 hours (unhealthy)",
			Created: now - 10800, Log: []string{"listening on :8080", "!no connection to db-orders", "GET /health \x1b[31m503\x1b[0m", "<script>alert(1)</script>"}},
		&vchtest.Container{ID: vchtest.ID(2), Name: "storefront-1", Image: "hub.test/shop/storefront:2026.11", State: "running", Status: "Up 21 hours", Labels: app("web"), Created: now},
		&vchtest.Container{ID: vchtest.ID(3), Name: "import-nightly", Image: "hub.test/shop/import:1.14", State: "exited", Status: "Exited (0) 4 hours ago", Created: now},
		&vchtest.Container{ID: vchtest.ID(4), Name: "mailer", Image: "mailer:3", State: "paused", Status: "Up 2 days (Paused)", Created: now})
	two := w.vch("vch-muc-01", "shop", &vchtest.Container{ID: vchtest.ID(5), Name: "recommender", Image: "hub.test/shop/recommender:2", State: "running", Status: "Up 5 days", Created: now})
	b.signIn(t, w, admin, "/projects/shop/containers")
	ok := true
	run := func(name string, story func(t *testing.T)) { ok = ok && t.Run(name, story) } // each goes on where the one before ended
	run("containers", func(t *testing.T) {
		b.open(t, "/projects/shop/containers")
		b.sees(t, "vch-fra-01", "Answering", "checkout-api", "Unhealthy", "Stopped, exit 0", "Paused", "storefront", "recommender", "4 containers, 3 running")
		b.look(t, "containers")
		one.Docker.Set(vchtest.ID(2), "exited", "Exited (137) 1 second ago", "die")
		b.sees(t, "Stopped, exit 137")
		b.run(chromedp.SendKeys(`input[type=search]`, "import night"))
		b.until(t, `document.querySelectorAll("tbody tr:not(.band)").length == 1`)
		b.open(t, "/projects/shop/containers?show=running")
		b.until(t, `!document.body.innerText.includes("import-nightly") && document.body.innerText.includes("checkout-api")`)
	})
	run("many at once", func(t *testing.T) {
		b.open(t, "/projects/shop/containers")
		for _, n := range []string{"import-nightly", "storefront-1"} {
			b.run(chromedp.Click(fmt.Sprintf(`input[aria-label="Choose %s"]`, n)))
		}
		b.sees(t, "2 selected")
		b.look(t, "containers-selected")
		b.run(chromedp.Click(`//div[@role="toolbar"]//button[contains(., "Start")]`))
		b.until(t, `!document.querySelector(".bulk")`)
		if a, c := one.Docker.Get(vchtest.ID(2)).State, one.Docker.Get(vchtest.ID(3)).State; a != "running" || c != "running" {
			t.Errorf("started, they are %s and %s", a, c)
		}
	})
	run("container", func(t *testing.T) {
		b.open(t, "/projects/shop/containers")
		b.run(chromedp.Click(`//tbody//a[. = "checkout-api"]`))
		b.sees(t, "listening on :8080", "no connection to db-orders", "503", "<script>alert(1)</script>", "172.16.0.2", "CPU", "Memory")
		b.settled(t)
		b.look(t, "container")
		b.run(chromedp.Click(`button[aria-label="More actions"]`))
		b.sees(t, "Rename", "Change limits")
		b.look(t, "container-more")
		b.run(chromedp.Click(`button[aria-label="More actions"]`))
		b.run(chromedp.Click(`//nav[@class="tabs"]/a[contains(., "Log")]`))
		b.sees(t, "4 lines")
		b.run(chromedp.SendKeys(`.pane input[type=search]`, "health"))
		b.sees(t, "1 line")
		b.look(t, "container-log")
		b.run(chromedp.Click(`//nav[@class="tabs"]/a[contains(., "Processes")]`))
		b.sees(t, "PID", "sh")
		b.look(t, "container-processes")
	})
	run("shell", func(t *testing.T) {
		b.run(chromedp.Click(`//nav[@class="tabs"]/a[contains(., "Shell")]`), chromedp.Click(`//section[contains(@class, "pane")]//button`))
		b.until(t, `document.querySelector(".xterm-rows")?.innerText.includes("/ #")`)
		b.run(chromedp.SendKeys(`.xterm-helper-textarea`, "hello"))
		b.until(t, `document.querySelector(".xterm-rows").innerText.includes("hello")`)
		b.look(t, "container-shell")
		b.run(chromedp.SendKeys(`.xterm-helper-textarea`, "exit"))
		b.sees(t, "Closed:", "Open again")
	})
	run("run", func(t *testing.T) {
		b.open(t, "/projects/shop/containers")
		b.run(chromedp.Click(`//a[contains(., "Run a container")]`), chromedp.WaitVisible(`form input`), chromedp.SendKeys(`form input`, "nginx:1"))
		b.sees(t, "What would happen", "Here", "containers run there")
		b.look(t, "run")
		b.run(chromedp.SendKeys(`//label[contains(., "Published ports")]/following-sibling::textarea`, "nonsense"), chromedp.Click(`form button[type=submit]`))
		b.sees(t, "is not understood")
		b.run(chromedp.SendKeys(`//label[contains(., "Published ports")]/following-sibling::textarea`, strings.Repeat(kb.Backspace, len("nonsense"))+"8080:80"),
			chromedp.SendKeys(`//label[starts-with(., "Name")]/following-sibling::input`, "web"), chromedp.Click(`form button[type=submit]`))
		b.sees(t, "Made")
		b.settled(t)
		b.look(t, "request")
		if c := two.Docker.Get("web"); c == nil || c.State != "running" {
			t.Errorf("it is not where the fewest run: %+v, %+v", c, one.Docker.Get("web"))
		}
		b.open(t, "/projects/shop/requests")
		b.sees(t, "web", "nginx:1", "Made")
		b.look(t, "requests")
	})
	run("away", func(t *testing.T) {
		b.open(t, "/projects/shop/containers")
		b.sees(t, "recommender")
		two.Close()
		b.sees(t, "Not answering", "Was running")
		b.look(t, "containers-away")
	})
	run("thousands", func(t *testing.T) {
		const many = 3000
		for i := range many {
			one.Docker.Add(&vchtest.Container{ID: vchtest.ID(1000 + i), Name: fmt.Sprintf("worker-%04d", i), Image: "worker", State: "created"})
		}
		one.Docker.Drop() // the hub reads the whole list again
		b.sees(t, fmt.Sprintf("%d containers", many+4))
		b.until(t, `document.querySelectorAll("tbody tr").length < 250`)
		b.run(chromedp.Evaluate(`[document.querySelector(".sheet"), document.scrollingElement].forEach(e => e.scrollTo(0, 60000))`, nil))
		b.until(t, `[...document.querySelectorAll("tbody th a")].some(a => a.textContent > "worker-1500")`)
	})
	b.quiet(t)
}
