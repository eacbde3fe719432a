package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/openvic/vic/sdk/auth"
)

// asked is what vCenter is asked for a text: it looks in names without their domains, and in first and last names one
// by one. The rest is done here.
func asked(text string) string {
	text, _, _ = strings.Cut(text, "@")
	longest := ""
	for _, word := range strings.Fields(text) {
		if len(word) > len(longest) {
			longest = word
		}
	}
	return longest
}

// Search implements auth.Driver. A page goes on behind the last ID of the one before.
func (d *driver) Search(ctx context.Context, req auth.SearchRequest) (auth.SearchResult, error) {
	if err := ctx.Err(); err != nil {
		return auth.SearchResult{}, err
	}
	var found []auth.Principal
	text := strings.ToLower(req.Text)
	keep := func(p auth.Principal) {
		if p.ID > req.Page && (strings.Contains(strings.ToLower(p.Name), text) || strings.Contains(strings.ToLower(p.FullName), text)) {
			found = append(found, p)
		}
	}
	for _, domain := range d.config.domains() {
		if req.Kind != auth.Group {
			l, err := d.sso.Persons(ctx, domain, asked(req.Text))
			if err != nil {
				return auth.SearchResult{}, err
			}
			for _, p := range l {
				keep(userOf(p))
			}
		}
		if req.Kind != auth.User {
			l, err := d.sso.Groups(ctx, domain, asked(req.Text))
			if err != nil {
				return auth.SearchResult{}, err
			}
			for _, g := range l {
				keep(groupOf(g))
			}
		}
	}
	found = slices.DeleteFunc(found, func(p auth.Principal) bool {
		_, ok := d.ofID(p.ID)
		return !ok || len(p.ID) > auth.MaxID || clipped(p.Name) == ""
	})
	slices.SortFunc(found, func(a, b auth.Principal) int { return cmp.Compare(a.ID, b.ID) })
	found = slices.CompactFunc(found, func(a, b auth.Principal) bool { return a.ID == b.ID })
	res := auth.SearchResult{Principals: found}
	if len(found) > req.Limit {
		res.Principals = found[:req.Limit]
		res.NextPage = res.Principals[req.Limit-1].ID
	}
	return res, nil
}
