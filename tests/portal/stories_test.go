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
	b.look(t, "projects")
}
