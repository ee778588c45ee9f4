// Before anything is painted, so that a page that is dark by choice never flashes white.
'use strict';
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem('theme');
  } catch {
    // A browser that keeps nothing follows its own setting.
  }
  if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
})();
