package authtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

func lookup(t *testing.T, s *suite) {
	for _, req := range []auth.LookupRequest{{ID: s.User.ID}, {Name: s.Names[0]}} {
		e, err := s.Driver.Lookup(s.ctx(t), req)
		s.see(t, "Lookup", auth.Identity{Principal: e.Principal, Groups: e.Groups}, err)
	}
	e, err := s.Driver.Lookup(s.ctx(t), auth.LookupRequest{ID: s.Direct})
	if err != nil || e.Principal.ID != s.Direct || e.Principal.Kind != auth.Group || !slices.Contains(e.Groups, s.Outer) {
		t.Errorf("Lookup of a group: %+v, %v", e, err)
	}
	domain, _, _ := auth.SplitID(s.User.ID)
	for _, req := range []auth.LookupRequest{{Name: s.Other}, {ID: auth.ID(domain, "no-such-user")}} {
		_, err := s.Driver.Lookup(s.ctx(t), req)
		want(t, "Lookup of nobody", err, errdef.ErrNotFound)
	}
}

// all is every page of a search, and sees that no page is too long.
func (s *suite) all(t *testing.T, req auth.SearchRequest) []auth.Principal {
	t.Helper()
	var all []auth.Principal
	for range 10_000 {
		r, err := s.again(t).Search(s.ctx(t), req)
		if err != nil {
			t.Fatalf("Search: %v", err)
		}
		if len(r.Principals) > req.Limit {
			t.Fatalf("%d principals, the limit is %d", len(r.Principals), req.Limit)
		}
		all = append(all, r.Principals...)
		if r.NextPage == "" {
			return all
		}
		req.Page = r.NextPage
	}
	t.Fatal("the pages do not end")
	return nil
}

func has(list []auth.Principal, id string) bool {
	return slices.ContainsFunc(list, func(p auth.Principal) bool { return p.ID == id })
}

func search(t *testing.T, s *suite) {
	middle := s.User.Name[1 : len(s.User.Name)-1]
	for _, c := range []struct {
		req         auth.SearchRequest
		user, group bool
	}{
		{auth.SearchRequest{Text: s.User.Name}, true, false},
		{auth.SearchRequest{Text: strings.ToUpper(s.User.Name)}, true, false},
		{auth.SearchRequest{Text: middle}, true, false},
		{auth.SearchRequest{Text: s.User.Name, Kind: auth.User}, true, false},
		{auth.SearchRequest{Text: s.User.Name, Kind: auth.Group}, false, false},
		{auth.SearchRequest{Kind: auth.Group}, false, true},
		{auth.SearchRequest{Text: "nothing has this name"}, false, false},
	} {
		c.req.Limit = auth.MaxLimit
		found := s.all(t, c.req)
		if has(found, s.User.ID) != c.user || c.group && !has(found, s.Direct) {
			t.Errorf("Search %+v: %+v", c.req, found)
		}
	}
	if s.User.FullName != "" && !has(s.all(t, auth.SearchRequest{Text: s.User.FullName, Limit: auth.MaxLimit}), s.User.ID) {
		t.Errorf("Search does not find the full name %q", s.User.FullName)
	}
}

func pages(t *testing.T, s *suite) {
	large := s.all(t, auth.SearchRequest{Limit: auth.MaxLimit})
	small := s.all(t, auth.SearchRequest{Limit: 2})
	for _, list := range [][]auth.Principal{large, small} {
		for _, id := range []string{s.User.ID, s.Direct, s.Outer} {
			if n := len(slices.DeleteFunc(slices.Clone(list), func(p auth.Principal) bool { return p.ID != id })); n != 1 {
				t.Errorf("%q is there %d times", id, n)
			}
		}
	}
	if len(large) != len(small) {
		t.Errorf("%d in large pages, %d in small ones", len(large), len(small))
	}
}
