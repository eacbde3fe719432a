package dockerauth_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// One request for a token asks the database little, however much it is for.
func TestATokenRequestAsksFewQuestions(t *testing.T) {
	r := newRig(t)
	var scopes []string
	for i := range 100 {
		scopes = append(scopes, fmt.Sprintf("repository:public/app%d:*", i))
	}
	before := r.questions.Load()
	answer, res := r.token("", url.Values{"scope": scopes})
	if n := r.questions.Load() - before; res.StatusCode != 200 || answer["token"] == nil || n > 3 {
		t.Errorf("%d: %d questions about one project", res.StatusCode, n)
	}
	for i := range scopes {
		scopes[i] = fmt.Sprintf("repository:p%d/app:pull", i)
	}
	if _, res := r.token("", url.Values{"scope": scopes[:20]}); res.StatusCode != 200 {
		t.Errorf("20 projects: %d", res.StatusCode)
	}
	answer, res = r.token("", url.Values{"scope": scopes[:21]})
	if res.StatusCode != 400 || !strings.Contains(fmt.Sprint(answer), "at most 20 projects") {
		t.Errorf("21 projects: %d %v", res.StatusCode, answer)
	}
}
