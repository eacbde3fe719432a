package access

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAPageOfAnotherSiteMovesNothing(t *testing.T) {
	upgrade := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	for _, c := range []struct {
		name   string
		method string
		header http.Header
		more   http.Header
		want   int
	}{
		{"a form of another site", "POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, nil, 403},
		{"a form of a sister site", "POST", http.Header{"Sec-Fetch-Site": {"same-site"}}, nil, 403},
		{"an old browser, another site", "POST", http.Header{"Origin": {"https://evil.example"}}, nil, 403},
		{"a sandboxed frame", "DELETE", http.Header{"Origin": {"null"}}, nil, 403},
		{"the same origin", "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://vch.example:2378"}}, nil, 200},
		{"an old browser, the same origin", "POST", http.Header{"Origin": {"https://vch.example:2378"}}, nil, 200},
		{"a program", "POST", nil, nil, 200},
		{"a link from another site", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, nil, 200},
		{"a WebSocket of another site", "GET", http.Header{"Origin": {"https://evil.example"}}, upgrade, 403},
		{"a WebSocket of another site, with Sec-Fetch-Site", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, upgrade, 403},
		{"a WebSocket of the same origin", "GET", http.Header{"Origin": {"https://vch.example:2378"}}, upgrade, 200},
		{"a program's WebSocket", "GET", nil, upgrade, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			reached := false
			h := SameSite(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), nil)
			r := httptest.NewRequest(c.method, "https://vch.example:2378/v1/exec", nil)
			for _, header := range []http.Header{c.header, c.more} {
				for k, v := range header {
					r.Header[k] = v
				}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want || reached != (c.want == 200) {
				t.Errorf("status %d, reached %v; want %d", w.Code, reached, c.want)
			}
			if r.Method != c.method {
				t.Errorf("the request's method became %s", r.Method)
			}
		})
	}
}

func TestBodiesAreJSON(t *testing.T) {
	h := JSONBodies(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	for _, c := range []struct {
		kind, body string
		want       int
	}{
		{"application/json", "{}", 200},
		{"application/json; charset=utf-8", "{}", 200},
		{"Application/JSON", "{}", 200},
		{"", "", 200},
		{"", "{}", 415},
		{"text/plain", "{}", 415},
		{"application/x-www-form-urlencoded", "a=1", 415},
		{"multipart/form-data; boundary=x", "--x--", 415},
		{"application/jsonp", "{}", 415},
		{"application/json;;", "{}", 415},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%q with body %q: %d, want %d", c.kind, c.body, w.Code, c.want)
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.ContentLength = -1 // chunked
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 415 {
		t.Errorf("a body of unknown length: %d", w.Code)
	}
}
