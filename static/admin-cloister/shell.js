// What unfold's templates expect to find, for the build of Alpine that evaluates no code: that build reads only what is
// registered here, never globals. `theme` and `searchForm` are unfold's own (unfold/js/app.js).

document.addEventListener("alpine:init", () => {
  Alpine.data("theme", () => ({ ...theme(), adminTheme: "auto" }));
  Alpine.data("searchForm", searchForm);

  Alpine.data("shell", () => ({
    activeTab: getCurrentTab() || document.body.dataset.tab || "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: Alpine.$persist(true).as("sidebarDesktopOpen"),
    // The change form asks for its own address; these are the two parts of it that it reads.
    window: { location: { pathname: location.pathname, search: location.search } },
    toggleDesktopSidebar() {
      this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
    },
    toggleMobileSidebar() {
      this.sidebarMobileOpen = !this.sidebarMobileOpen;
    },
  }));
});

// Two parts of a page scroll by themselves; each says which one it is.
document.getElementById("nav-sidebar-apps")?.setAttribute("data-simplebar-aria-label", "Menu");
