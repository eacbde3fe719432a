package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/openvic/vic/sdk/auth"
	"github.com/openvic/vic/sdk/errdef"
)

// inChain is Active Directory's rule for members at any depth.
const inChain = ":1.2.840.113556.1.4.1941:"

// Bounds of the walk through nested groups.
const (
	maxDepth  = 16
	maxInOne  = 50 // members that one search asks about
	maxMember = 4 << 10
)

// groups are all groups of an entry, nested ones too, by ID. errdef.ErrExhausted.
func (d *driver) groups(c *ldap.Conn, of found) ([]string, error) {
	if d.config.GroupBase == "" {
		return nil, nil
	}
	ids, seen := map[string]bool{}, map[string]bool{strings.ToLower(of.dn): true}
	members := []string{of.dn}
	if d.byName() {
		if of.principal.Kind == auth.Group {
			return nil, nil // members are names of users
		}
		members[0] = of.key
	}
	for depth := 0; len(members) > 0 && depth < maxDepth; depth++ {
		var next []string
		for some := range slices.Chunk(members, maxInOne) {
			list, err := d.search(c, d.config.GroupBase, ldap.ScopeWholeSubtree, d.holding(some), d.config.GroupNameAttribute)
			if err != nil {
				return nil, err
			}
			for _, e := range list {
				f, ok := d.entry(e, auth.Group)
				dn := strings.ToLower(e.DN)
				if !ok || seen[dn] || len(dn) > maxMember {
					continue
				}
				seen[dn], ids[f.principal.ID] = true, true
				next = append(next, e.DN)
			}
			if len(ids) > auth.MaxGroups || len(list) == maxEntries {
				return nil, fmt.Errorf("%s is in more groups than are looked at: %w", of.principal.ID, errdef.ErrExhausted)
			}
		}
		if d.byName() || d.config.ActiveDirectory {
			break
		}
		members = next
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

// byName says that groups list the names of users, and so no groups.
func (d *driver) byName() bool { return strings.EqualFold(d.config.GroupMemberAttribute, "memberUid") }

// holding is the filter of groups that have one of the members.
func (d *driver) holding(members []string) string {
	rule := ""
	if d.config.ActiveDirectory {
		rule = inChain
	}
	var either strings.Builder
	for _, m := range members {
		either.WriteString("(" + d.config.GroupMemberAttribute + rule + "=" + ldap.EscapeFilter(m) + ")")
	}
	return "(&" + d.config.GroupFilter + "(|" + either.String() + "))"
}
