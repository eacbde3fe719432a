package portal

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPortal goes through the portal as people of each role do, on one hub and in one browser.
func TestPortal(t *testing.T) {
	b := openBrowser(t, "")
	w := newWorld(t)
	w.seed()
	b.site = w.url
	if b.axe == "" {
		t.Run("axe", func(t *testing.T) { t.Skip("axe-core is not installed: contrib/dev/portal.sh does so") })
	}
	t.Run("sign-in", func(t *testing.T) { signIn(t, w, b) })
	t.Run("pages", func(t *testing.T) { pages(t, w, b) })
	t.Run("live", func(t *testing.T) { live(t, w, b) })
	t.Run("dialogs", func(t *testing.T) { dialogs(t, w, b) })
	t.Run("roles", func(t *testing.T) { roles(t, w, b) })
	t.Run("prefix", func(t *testing.T) { prefix(t, w, b) })
	t.Run("session", func(t *testing.T) { session(t, w, b) })
}

func signIn(t *testing.T, w *world, b *browser) {
	b.open(t, "/projects")
	b.sees(t, "Sign in", "Password")
	b.look(t, "sign-in")
	b.run(chromedp.SendKeys(`input[autocomplete=username]`, "vic-cloud-admin"), chromedp.SendKeys(`input[type=password]`, "wrong"),
		chromedp.Click(`form button[type=submit]`))
	b.sees(t, "do not match an account")
	b.look(t, "sign-in-wrong")
	b.quiet(t)
}

// pages opens each page as a cloud administrator.
func pages(t *testing.T, w *world, b *browser) {
	b.signIn(t, w, admin, "/projects")
	digest := w.digest("shop", "checkout-api", "2.8.0")
	for _, p := range []struct {
		name, path string
		wants      []string
	}{
		{"home", "/", []string{"What is wrong", "shop is nearly full", "First steps", "docker login"}},
		{"projects", "/projects", []string{"default-project", "Private", "Create a project"}},
		{"project", "/projects/shop", []string{"checkout-api", "How full it is", "Push an image", "Latest in the log"}},
		{"project-empty", "/projects/mail", []string{"There is no repository yet", "docker push"}},
		{"repositories", "/projects/shop/repositories", []string{"web/storefront", "checkout-api"}},
		{"repository", "/projects/shop/repositories/checkout-api", []string{"2.8.0", "latest", "Signed", "approved", "sha256:"}},
		{"artifact", "/projects/shop/artifacts/checkout-api/" + digest, []string{"checkout-api:2", "docker pull", "Signature by cosign", "SBOM"}},
		{"artifact-findings", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=findings", []string{"It has not been scanned", "Scan it"}},
		{"artifact-signatures", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=signatures", []string{"What is attached as a signature holds none."}},
		{"artifact-history", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=history", []string{"apt-get install", "3 steps"}},
		{"artifact-sbom", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=sbom", []string{"libssl3", "Apache-2.0", "3.5.4-1"}},
		{"members", "/projects/shop/members", []string{"vic-developer", "DevOps administrator", "administrators"}},
		{"labels", "/projects/shop/labels", []string{"deprecated", "approved", "Of the whole hub"}},
		{"log", "/projects/shop/log", []string{"push artifact", "127.0.0.1"}},
		{"robots", "/projects/shop/robots", []string{"robot$shop+ci", "repository:push", "Active"}},
		{"webhooks", "/projects/shop/webhooks", []string{"deploy", "http://127.0.0.1:9/hook", "push", "delete"}},
		{"webhook", "/projects/shop/webhooks/1", []string{"Deliveries", "Address"}},
		{"policies", "/projects/shop/policies", []string{"Tags 2.*", "the 10 artifacts that were pushed last", "Trial"}},
		{"project-vchs", "/projects/shop/vchs", []string{"vch-ber-01", "Not connected"}},
		{"configuration", "/projects/shop/configuration", []string{"Make it public", "Delete the project", "Set the quota"}},
		{"account", "/account", []string{"Sessions", "This one", "Sign out everywhere"}},
		{"vchs", "/vchs", []string{"vch-ber-01", "shop"}},
		{"registries", "/registries", []string{"upstream", "Answers"}},
		{"quotas", "/quotas", []string{"shop", "no limit"}},
		{"users", "/people", []string{"vic-developer", "Cloud administrator", "Jeanne Moreau"}},
		{"groups", "/people?tab=groups", []string{"administrators"}},
		{"admins", "/people?tab=admins", []string{"local/administrators", "Take the role away"}},
		{"hub-robots", "/robots", []string{"robot$backup", "* repository:pull"}},
		{"garbage", "/garbage-collection", []string{"Done", "Collect now"}},
		{"audit-log", "/audit-log", []string{"sign-in", "Export as CSV"}},
		{"settings", "/settings", []string{"Read-only", "Parts", "Of the whole hub"}},
		{"missing", "/nothing/here", []string{"There is no such page"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			b.open(t, p.path)
			b.sees(t, p.wants...)
			b.settled(t)
			b.look(t, p.name)
		})
	}
}

// dialogs makes a project and gives it a member, as a cloud administrator does with keys and mouse.
func dialogs(t *testing.T, w *world, b *browser) {
	b.signIn(t, w, admin, "/projects")
	b.press(t, "Create a project")
	b.fill(t, "Name", "Not A Name")
	b.look(t, "dialog-project")
	b.run(chromedp.Click(`dialog[open] button[type=submit]`))
	b.sees(t, "It was not done.")
	b.run(chromedp.Evaluate(`document.querySelector("dialog[open] input").select()`, nil), chromedp.KeyEvent("garden"),
		chromedp.Click(`dialog[open] button[type=submit]`))
	b.until(t, `location.pathname === "/projects/garden"`)
	b.sees(t, "There is no repository yet", "Project garden is there.")
	b.press(t, "Members")
	b.press(t, "Add a member")
	b.fill(t, "Search users and groups", "vic-dev")
	b.sees(t, "vic-developer")
	b.look(t, "dialog-member")
	b.run(chromedp.Click(`dialog[open] input[type=radio]`), chromedp.Click(`dialog[open] button[type=submit]`))
	b.until(t, `!document.querySelector("dialog[open]")`)
	b.sees(t, "local/vic-de", "Developer")
	b.press(t, "Overview")
	b.press(t, "Make it public")
	b.sees(t, "Make garden public?")
	b.run(chromedp.Click(`dialog[open] button[type=submit]`))
	b.until(t, `!document.querySelector("dialog[open]")`)
	b.sees(t, "Make it private")
	b.run(chromedp.KeyEvent("k", chromedp.KeyModifiers(input.ModifierCtrl)))
	b.until(t, `document.querySelector("dialog.palette[open]")`)
	b.run(chromedp.KeyEvent("store"))
	b.sees(t, "shop/web/storefront")
	b.look(t, "palette")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until(t, `location.pathname === "/projects/shop/repositories/web/storefront"`)
	b.run(chromedp.NavigateBack())
	b.until(t, `location.pathname === "/projects/garden" && document.title.startsWith("garden")`)
	b.run(chromedp.KeyEvent("t"))
	b.sees(t, "Garbage collection", "Begun by")
	b.settled(t)
	b.look(t, "tasks")
}

// roles looks at what each role is shown; that the API refuses the rest is tried by the hub's own tests.
func roles(t *testing.T, w *world, b *browser) {
	b.signOut(t)
	b.open(t, "/projects/tools")
	b.press(t, "Look at public projects without signing in")
	b.sees(t, "You see it since it is public.", "curl")
	b.hides(t, "Members", "Log", "Configuration", "Recent tasks", "Create a project", "Make it private")
	b.look(t, "stranger")
	b.signIn(t, w, "vic-developer", "/projects/shop")
	b.sees(t, "Your role: Developer.", "Members", "VCHs", "Push an image")
	b.hides(t, "Robots", "Webhooks", "Configuration", "Make it public", "Administration")
	b.open(t, "/projects/shop/members")
	b.sees(t, "vic-devops-admin")
	b.hides(t, "Add a member", "Change the role")
	b.open(t, "/projects/mail")
	b.sees(t, "This is not there, or you may not see it.")
	b.open(t, "/settings")
	b.sees(t, "You may not see this.")
	b.signIn(t, w, "vic-devops-admin", "/projects/shop/members")
	b.sees(t, "Robots", "Webhooks", "Configuration", "Add a member")
	b.hides(t, "Administration", "Audit log")
	b.open(t, "/projects/shop/configuration")
	b.sees(t, "Make it public")
	b.hides(t, "Delete the project", "Set the quota")
}

// session ends while a form is open: what was typed is there after the sign-in.
func session(t *testing.T, w *world, b *browser) {
	b.signIn(t, w, admin, "/people?tab=admins")
	b.press(t, "Add a cloud administrator")
	b.fill(t, "Search users and groups", "vic-developer@local")
	w.do(admin, "DELETE", "/api/v2.0/users/current/sessions", nil)
	b.run(chromedp.Click(`dialog[open] button[type=submit]`))
	b.sees(t, "Your session has ended.")
	b.look(t, "session-ended")
	b.run(chromedp.SendKeys(`.again input[autocomplete=username]`, admin+"@local"), chromedp.SendKeys(`.again input[type=password]`, w.passwords[admin]),
		chromedp.Click(`.again button[type=submit]`))
	b.until(t, `document.querySelectorAll("dialog[open]").length === 1`)
	b.until(t, `document.querySelector("dialog[open] input").value === "vic-developer@local"`)
	b.run(chromedp.Click(`dialog[open] button[type=submit]`))
	b.sees(t, "vic-developer@local is cloud administrator.")
}

// prefix looks at the portal behind a proxy that adds something to all addresses.
func prefix(t *testing.T, w *world, b *browser) {
	to, err := url.Parse(w.url)
	must(t, err)
	proxy := httptest.NewTLSServer(http.StripPrefix("/vic/hub", &httputil.ReverseProxy{Transport: w.client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}))
	t.Cleanup(proxy.CloseClientConnections)
	b.site = proxy.URL
	defer func() { b.site = w.url }()
	b.signOut(t)
	b.open(t, "/vic/hub/projects/tools/repositories")
	b.press(t, "Look at public projects without signing in")
	b.press(t, "curl")
	b.sees(t, "8.15")
	b.until(t, `location.pathname === "/vic/hub/projects/tools/repositories/curl"`)
	b.quiet(t)
}
