package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// promote deploys a version at a place.
func (a *api) promote(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Component string  `json:"component"`
		Version   string  `json:"version"`
		To        string  `json:"to"`
		Expect    *string `json:"expect"`
		Reason    string  `json:"reason"`
		Force     bool    `json:"force"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	o := artifacts.Order{Kind: artifacts.Promotion, Component: asked.Component, Version: asked.Version, Expect: asked.Expect, Reason: asked.Reason, Force: asked.Force}
	return a.move(w, r, c, o, "to", asked.To)
}

// rollBack deploys a version again that was deployed at a place before.
func (a *api) rollBack(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Component string  `json:"component"`
		At        string  `json:"at"`
		Version   string  `json:"version"`
		Expect    *string `json:"expect"`
		Reason    string  `json:"reason"`
		Force     bool    `json:"force"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	o := artifacts.Order{Kind: artifacts.Rollback, Component: asked.Component, Version: asked.Version, Expect: asked.Expect, Reason: asked.Reason, Force: asked.Force}
	return a.move(w, r, c, o, "at", asked.At)
}

// withdraw lets nothing of a component be deployed at a place any more.
func (a *api) withdraw(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Component string  `json:"component"`
		At        string  `json:"at"`
		Expect    *string `json:"expect"`
		Reason    string  `json:"reason"`
		Force     bool    `json:"force"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	o := artifacts.Order{Kind: artifacts.Withdrawal, Component: asked.Component, Expect: asked.Expect, Reason: asked.Reason, Force: asked.Force}
	return a.move(w, r, c, o, "at", asked.At)
}

// move asks for the right, which only now it is known on what, and moves.
func (a *api) move(w http.ResponseWriter, r *http.Request, c door.Call, o artifacts.Order, member, place string) (err error) {
	if !isComponent(o.Component) {
		return invalid("component is %s; write a component of three parts, as cloud/dmp/ms-ingestion", quote(o.Component))
	}
	if o.Place, err = artifacts.ParsePlace(place); err != nil {
		return invalid("%s is %s; write a domain and an environment, as cloud.prod", member, quote(place))
	}
	right := auth.Promote
	if a.Catalog.IsLast(o.Place) {
		right = auth.PromoteLast
	}
	if err := c.Ask(r.Context(), right, o.Component); err != nil {
		return err
	}
	if o.Force {
		if err := c.Ask(r.Context(), auth.Govern, o.Component); err != nil {
			return err
		}
	}
	o.May = a.may(r.Context(), c)
	m, err := a.Catalog.Move(c.By(r), o)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/promotions/"+m.ID)
	return respondJSON(w, http.StatusCreated, m)
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
		if c.May(r.Context(), auth.Pull, m.Component) {
			if len(items) == n {
				next = items[n-1].ID
				break
			}
			items = append(items, m)
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
	if !c.May(r.Context(), auth.Pull, m.Component) {
		return none()
	}
	return show(w, r, c, m)
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
