package access

import (
	"mime"
	"net/http"
)

// SameSite refuses what a page of another site makes a browser send: a browser adds its client certificate, cookie or
// network position to such a request without asking anybody. Requests that change something are refused when
// Sec-Fetch-Site or Origin says that they come from elsewhere (net/http.CrossOriginProtection); so are GET requests that
// take the connection over (WebSocket, Docker's attach), which browsers send across sites as well. Programs that are not
// browsers send neither header and pass.
//
// It belongs on the root of a listener's handler, before anything that looks at credentials. refuse writes the answer,
// status 403 in the API's own form; nil: a line of text. open are patterns of http.ServeMux for what pages of other sites may
// send: what is behind them goes by no credentials that a browser adds.
func SameSite(next http.Handler, refuse http.HandlerFunc, open ...string) http.Handler {
	if refuse == nil {
		refuse = func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, CrossSiteMessage, http.StatusForbidden)
		}
	}
	protection := http.NewCrossOriginProtection()
	for _, pattern := range open {
		protection.AddInsecureBypassPattern(pattern)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r
		if r.Header.Get("Upgrade") != "" {
			unsafe := *r
			unsafe.Method = http.MethodPost
			asked = &unsafe
		}
		if err := protection.Check(asked); err != nil {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// CrossSiteMessage is what a page of another site is told.
const CrossSiteMessage = "a page of another site may not ask this"

// JSONBodies refuses a body that is not declared as JSON, with 415: a form of another site can be text/plain,
// multipart/form-data or application/x-www-form-urlencoded, never application/json. Requests without a body pass.
// refuse writes the answer in the API's own form; nil: a line of text.
func JSONBodies(next http.Handler, refuse http.HandlerFunc) http.Handler {
	if refuse == nil {
		refuse = func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, NotJSONMessage, http.StatusUnsupportedMediaType)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && !isJSON(r.Header.Get("Content-Type")) { // -1: unknown, so there may be one
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// NotJSONMessage is what a client is told whose body is something else.
const NotJSONMessage = "the body is not declared as JSON: send it with Content-Type: application/json"

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}
