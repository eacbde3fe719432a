package portal

import (
	"testing"

	"github.com/chromedp/chromedp"
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
}

func signIn(t *testing.T, w *world, b *browser) {
	b.open(t, "/projects")
	b.sees(t, "Sign in", "Password")
	b.look(t, "sign-in")
	b.run(chromedp.SendKeys(`input[autocomplete=username]`, "vic-cloud-admin"), chromedp.SendKeys(`input[type=password]`, "wrong"),
		chromedp.Click(`form button[type=submit]`))
	b.sees(t, "do not match an account")
	b.look(t, "sign-in-wrong")
	b.open(t, "/projects")
	b.signIn(t, w, admin)
	b.sees(t, "shop", "default-project", "Create a project")
}

// pages opens each page as a cloud administrator.
func pages(t *testing.T, w *world, b *browser) {
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
		{"artifact-history", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=history", []string{"apt-get install", "3 steps"}},
		{"artifact-sbom", "/projects/shop/artifacts/checkout-api/" + digest + "?tab=sbom", []string{"libssl3", "Apache-2.0", "3.5.4-1"}},
		{"members", "/projects/shop/members", []string{"vic-developer", "DevOps administrator", "administrators"}},
		{"labels", "/projects/shop/labels", []string{"deprecated", "approved", "Of the whole hub"}},
		{"log", "/projects/shop/log", []string{"push artifact", "127.0.0.1"}},
		{"audit-log", "/audit-log", []string{"sign-in", "Export as CSV"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			b.open(t, p.path)
			b.sees(t, p.wants...)
			b.settled(t)
			b.look(t, p.name)
		})
	}
}
