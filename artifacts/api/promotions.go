package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// moveRequest asks for a move. A promotion has to, the others have at; a withdrawal has no version.
type moveRequest struct {
	Component string  `json:"component"`
	Version   string  `json:"version"`
	To        *string `json:"to"`
	At        *string `json:"at"`
	Expect    *string `json:"expect"`
	Reason    string  `json:"reason"`
	Force     bool    `json:"force"`
}

// order is what the request asks the catalog for.
func (q moveRequest) order(kind artifacts.MoveKind) (artifacts.Order, error) {
	o := artifacts.Order{Kind: kind, Component: q.Component, Version: q.Version, Expect: q.Expect, Reason: q.Reason, Force: q.Force}
	if !isComponent(q.Component) {
		return o, invalid("component is %s; write a component of three parts, as cloud/dmp/ms-ingestion", quote(q.Component))
	}
	member, place, other := "at", q.At, q.To
	if kind == artifacts.Promotion {
		member, place, other = "to", q.To, q.At
	}
	if place == nil || other != nil {
		return o, invalid("say the place as %s, and only so: a domain and an environment, as cloud.prod", member)
	}
	var err error
	if o.Place, err = artifacts.ParsePlace(*place); err != nil {
		return o, invalid("%s is %s; write a domain and an environment, as cloud.prod", member, quote(*place))
	}
	return o, nil
}

// move serves the requests for a kind of move. Only now it is known what it takes the right on.
func (a *api) move(kind artifacts.MoveKind) door.Endpoint {
	return func(w http.ResponseWriter, r *http.Request, c door.Call) error {
		var asked moveRequest
		if err := read(w, r, c, &asked); err != nil {
			return err
		}
		o, err := asked.order(kind)
		if err != nil {
			return err
		}
		if err := a.mayMove(r.Context(), c, o); err != nil {
			return err
		}
		o.May = a.may(r.Context(), c)
		m, err := a.Catalog.Move(c.By(r), o)
		if err != nil {
			return err
		}
		status := http.StatusCreated
		if m.Already {
			status = http.StatusOK
		}
		w.Header().Set("Location", "/api/v1/promotions/"+m.ID)
		return respondJSON(w, status, m.For(o.May))
	}
}

// mayMove asks for the right to follow an order.
func (a *api) mayMove(ctx context.Context, c door.Call, o artifacts.Order) error {
	right := auth.Promote
	if a.Catalog.IsLast(o.Place) {
		right = auth.PromoteLast
	}
	err := c.Ask(ctx, right, o.Component)
	if err == nil && o.Force {
		err = c.Ask(ctx, auth.Govern, o.Component)
	}
	return err
}

// listMoves lists who moved what where, the newest first.
func (a *api) listMoves(w http.ResponseWriter, r *http.Request, c door.Call) error {
	name, err := componentOf(c)
	if err != nil {
		return err
	}
	return a.moves(w, r, c, artifacts.MoveQuery{Component: name, By: c.Query.Get("by")})
}

// getHistory lists where a component was moved.
func (a *api) getHistory(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if _, err := a.Catalog.Component(r.Context(), c.On); err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	return a.moves(w, r, c, artifacts.MoveQuery{Component: c.On})
}

// reach is how many moves one request looks through for those that the caller may see.
const reach = 100_000

func (a *api) moves(w http.ResponseWriter, r *http.Request, c door.Call, q artifacts.MoveQuery) (err error) {
	if q.Place, err = placeOf(c, "place"); err != nil {
		return err
	}
	if q.Since, err = moment(c, "since", false); err != nil {
		return err
	}
	if q.Until, err = moment(c, "until", true); err != nil {
		return err
	}
	n, err := limit(c)
	if err != nil {
		return err
	}
	q.Before = c.Query.Get("after")
	may := a.may(r.Context(), c)
	var items []artifacts.Move
	looked, last, next := 0, "", ""
	for m, err := range a.Catalog.Moves(r.Context(), q) {
		if err != nil {
			return err
		}
		if looked == reach {
			next = last
			break
		}
		looked++
		if may(m.Component) {
			if len(items) == n {
				next = items[n-1].ID
				break
			}
			items = append(items, m.For(may))
		}
		last = m.ID
	}
	return list(w, r, c, items, next)
}

// getMove tells of one.
func (a *api) getMove(w http.ResponseWriter, r *http.Request, c door.Call) error {
	none := func() error {
		return unknown("promotion "+quote(c.Last), "/api/v1/promotions lists those there are")
	}
	m, err := a.Catalog.MoveOf(r.Context(), c.Last)
	if errors.Is(err, artifacts.ErrUnknown) {
		return none()
	}
	if err != nil {
		return err
	}
	may := a.may(r.Context(), c)
	if !may(m.Component) {
		return none()
	}
	return show(w, r, c, m.For(may))
}

// maxRequest is the longest request in JSON, in bytes.
const maxRequest = 64 << 10

// read reads a request's JSON. What it does not know is refused: a misspelt expectation must not be none.
func read(w http.ResponseWriter, r *http.Request, c door.Call, into any) error {
	// A stranger's page can make a browser send a form or plain text here, but not this.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return invalid("send the header Content-Type: application/json, not %s", quote(r.Header.Get("Content-Type")))
	}
	body, err := bodyOf(w, r, c, maxRequest)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("the request is no JSON of the form it must have: %s", shown(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("the request holds more than one JSON value")
	}
	return nil
}
