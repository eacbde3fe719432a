package dockerapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openvic/vic/core/dockerapi"
)

// A browser that holds a developer's certificate sends it with whatever another site's page asks for: no route that
// changes something, or that takes the connection over, may be reached so.
func TestEveryRouteRefusesAPageOfAnotherSite(t *testing.T) {
	a := serveAPI(t)
	routes, err := dockerapi.Routes(a.options)
	if err != nil {
		t.Fatal(err)
	}
	h, err := dockerapi.New(t.Context(), a.options)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		path, _, body := request(r, "c1")
		req := httptest.NewRequest(r.Method, "https://vch.example:2376"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "text/plain")
		req.Header.Set("Origin", "https://evil.example")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			req.Header.Set("Upgrade", "tcp") // else it is a link, whose answer the page cannot read
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another site") {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, w.Code, w.Body)
		}
	}
}
